#include "reprise/value.hpp"

#include "core/canon.hpp"
#include "core/value.hpp"

namespace reprise {
namespace codec {

void format<value>::write(writer& out, const value& any) {
  struct visitor {
    writer& out;
    void operator()(std::monostate) const { out.nil(); }
    void operator()(bool truth) const { out.boolean(truth); }
    void operator()(std::int64_t number) const { out.integer(number); }
    void operator()(std::uint64_t number) const { out.natural(number); }
    void operator()(double number) const { out.real(number); }
    void operator()(const std::string& text) const { out.text(text); }
    void operator()(const reprise::bytes& raw) const { out.bytes(raw.data); }
    void operator()(const extension& other) const { out.extension(other.code, other.payload); }
    void operator()(const value::list& items) const {
      out.begin_list(items.size());
      for (const value& item : items) write(out, item);
    }
    void operator()(const value::map& entries) const {
      out.begin_map(entries.size());
      for (const auto& [key, mapped] : entries) {
        write(out, key);
        write(out, mapped);
      }
    }
  };
  std::visit(visitor{out}, any.data());
}

void format<value>::read(reader& from, const object& in, value& any) {
  switch (in.type) {
    case msgpack::type::NIL:
      any = value();
      return;
    case msgpack::type::BOOLEAN:
      any = in.via.boolean;
      return;
    case msgpack::type::POSITIVE_INTEGER:
      any = in.via.u64;
      return;
    case msgpack::type::NEGATIVE_INTEGER:
      any = in.via.i64;
      return;
    case msgpack::type::FLOAT32:
    case msgpack::type::FLOAT64:
      any = in.via.f64;
      return;
    case msgpack::type::STR:
      any = std::string(in.via.str.ptr, in.via.str.size);
      return;
    case msgpack::type::BIN:
      any = reprise::bytes{{in.via.bin.ptr, in.via.bin.size}};
      return;
    case msgpack::type::EXT:
      any = extension{in.via.ext.type(), {in.via.ext.data(), in.via.ext.size}};
      return;
    case msgpack::type::ARRAY: {
      value::list items(in.via.array.size);
      for (std::uint32_t i = 0; i < in.via.array.size; ++i)
        read(from, in.via.array.ptr[i], items[i]);
      any = std::move(items);
      return;
    }
    case msgpack::type::MAP: {
      value::map entries(in.via.map.size);
      for (std::uint32_t i = 0; i < in.via.map.size; ++i) {
        read(from, in.via.map.ptr[i].key, entries[i].first);
        read(from, in.via.map.ptr[i].val, entries[i].second);
      }
      any = std::move(entries);
      return;
    }
  }
  throw msgpack::type_error();
}

}  // namespace codec

const value* value::find(std::string_view key) const {
  const map* entries = get_if<map>();
  if (!entries) return nullptr;
  for (const auto& [name, mapped] : *entries)
    if (const auto* text = name.get_if<std::string>(); text && *text == key) return &mapped;
  return nullptr;
}

value::list value::items() const {
  if (const list* items = get_if<list>()) return *items;
  const extension* other = get_if<extension>();
  if (!other || (other->code != codec::ext_tuple && other->code != codec::ext_set)) return {};
  const expected<value> payload = from_bytes(other->payload);
  return payload && payload->get_if<list>() ? *payload->get_if<list>() : list{};
}

expected<value> value::from_bytes(std::string_view bytes) {
  return codec::decode<value>(bytes);
}

value value::from_bytes_or_throw(std::string_view bytes) {
  expected<value> decoded = from_bytes(bytes);
  if (!decoded) throw usage_error(std::move(decoded.error()));
  return std::move(*decoded);
}

std::string value::to_json() const {
  const Result<Value> internal = decode(to_bytes());
  return reprise::to_json(internal ? *internal : Value());
}

}  // namespace reprise
