#include "reprise/codec.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "core/canon.hpp"
#include "core/failure.hpp"
#include "core/pack.hpp"
#include "core/text.hpp"
#include "core/value.hpp"

namespace reprise::codec {

bool is_failure(std::string_view bytes) {
  return reprise::is_failure(bytes);
}

namespace {

constexpr int max_depth = 256;  // of lists and maps in what we read, more than anything of ours has
constexpr std::size_t max_payload_depth = 128;

/// Whole and alone, and small enough to be unpacked: msgpack reserves memory for whatever a header
/// announces.
void check_shape(std::string_view bytes) {
  Unpacker unpack(bytes);
  (void)unpack.skip();
  if (unpack.failed()) throw decode_error("they end too early or are no msgpack");
  if (!unpack.at_end()) throw decode_error("more bytes follow the value");
}

bool points_into_input(msgpack::type::object_type, std::size_t, void*) {
  return true;
}

}  // namespace

msgpack::object reader::parse(std::string_view bytes) {
  check_shape(bytes);
  if (!zone_) zone_ = std::make_unique<msgpack::zone>();
  try {
    std::size_t offset = 0;
    bool referenced = false;
    const msgpack::unpack_limit limit(bytes.size(), bytes.size(), bytes.size(), bytes.size(),
                                      bytes.size(), max_depth);
    return msgpack::unpack(*zone_, bytes.data(), bytes.size(), offset, referenced,
                           points_into_input, nullptr, limit);
  } catch (const msgpack::unpack_error&) {
    throw decode_error("they are nested too deeply");
  }
}

msgpack::object reader::items(const msgpack::object& value, std::int8_t code) {
  if (value.type == msgpack::type::ARRAY) return value;
  if (value.type != msgpack::type::EXT || value.via.ext.type() != code) throw msgpack::type_error();
  const std::string_view payload(value.via.ext.data(), value.via.ext.size);
  while (!open_.empty() &&
         !(payload.data() >= open_.back().data() &&
           payload.data() + payload.size() <= open_.back().data() + open_.back().size()))
    open_.pop_back();
  if (open_.size() >= max_payload_depth) throw decode_error("they are nested too deeply");
  open_.push_back(payload);
  const msgpack::object list = parse(payload);
  if (list.type != msgpack::type::ARRAY) throw msgpack::type_error();
  return list;
}

msgpack::object reader::plain(msgpack::object value) {
  flatten(value, 0);
  return value;
}

void reader::flatten(msgpack::object& value, int level) {
  if (level > max_depth) throw decode_error("they are nested too deeply");
  if (value.type == msgpack::type::EXT) {
    const std::int8_t code = value.via.ext.type();
    if (code != ext_tuple && code != ext_set && code != ext_record) return;
    value = items(value, code);
  }
  if (value.type == msgpack::type::ARRAY) {
    for (std::uint32_t i = 0; i < value.via.array.size; ++i)
      flatten(value.via.array.ptr[i], level + 1);
  } else if (value.type == msgpack::type::MAP) {
    for (std::uint32_t i = 0; i < value.via.map.size; ++i) {
      flatten(value.via.map.ptr[i].key, level + 1);
      flatten(value.via.map.ptr[i].val, level + 1);
    }
  }
}

error cannot_read(const std::string& type, std::string_view bytes, std::string_view why) {
  const Result<Value> value = reprise::decode(bytes);
  if (!value)
    return {error_code::corrupt,
            fmt::format("{} bytes are no {}: {}", bytes.size(), type,
                        why.empty() ? std::string_view(value.error().message) : why)};
  return {error_code::invalid_argument,
          fmt::format("{} is no {}{}{}", shorten(escape_for_terminal(to_json(*value)), 60), type,
                      why.empty() ? "" : ": ", why)};
}

namespace {
thread_local std::vector<const void*> names_in_progress;
}

naming::naming(const void* tag) {
  names_in_progress.push_back(tag);
}
naming::~naming() {
  names_in_progress.pop_back();
}

std::size_t naming::distance(const void* tag) {
  const auto found = std::find(names_in_progress.rbegin(), names_in_progress.rend(), tag);
  if (found == names_in_progress.rend()) return 0;
  return static_cast<std::size_t>(found - names_in_progress.rbegin()) + 1;
}

}  // namespace reprise::codec
