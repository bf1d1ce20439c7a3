#include "core/cache_key.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/pack.hpp"
#include "core/text.hpp"

namespace reprise {
namespace {

// Map keys are sorted by their encoded bytes. As the length leads the encoding of a text, short
// names come first.
bool is_encoded_before(std::string_view a, std::string_view b) {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

using Parts = std::vector<std::pair<std::string, std::string>>;

void pack_parts(Packer& pack, std::string_view name, const Parts& parts) {
  std::vector<const Parts::value_type*> sorted;
  sorted.reserve(parts.size());
  for (const auto& part : parts) sorted.push_back(&part);
  std::sort(sorted.begin(), sorted.end(), [](auto* a, auto* b) { return *a < *b; });
  pack.text(name);
  pack.array(sorted.size());
  for (const auto* part : sorted) {
    pack.array(2);
    pack.text(part->first);
    pack.text(part->second);
  }
}

template <class Mapped, class PackMapped>
void pack_map(Packer& pack, std::string_view name, const std::map<std::string, Mapped>& map,
              PackMapped pack_mapped) {
  using Entry = typename std::map<std::string, Mapped>::value_type;
  std::vector<const Entry*> sorted;
  sorted.reserve(map.size());
  for (const Entry& entry : map) sorted.push_back(&entry);
  std::sort(sorted.begin(), sorted.end(),
            [](const Entry* a, const Entry* b) { return is_encoded_before(a->first, b->first); });
  pack.text(name);
  pack.map(sorted.size());
  for (const Entry* entry : sorted) {
    pack.text(entry->first);
    pack_mapped(entry->second);
  }
}

constexpr std::uint64_t material_version = 1;

}  // namespace

Digest Signature::digest() const {
  std::string bytes;
  Packer pack(bytes);
  pack.map(2);
  pack_parts(pack, "in", inputs);
  pack_parts(pack, "out", outputs);
  return digest_in("sig", bytes);
}

std::string Material::encode() const {
  std::string bytes;
  bytes.reserve(256 + 64 * (arguments.size() + dependencies.size() + environment.size()));
  Packer pack(bytes);
  auto pack_digest = [&](const Digest& digest) { pack.bytes(digest.raw()); };
  auto pack_text = [&](std::string_view text) { pack.text(text); };
  pack.map(10);
  pack.text("v");
  pack.unsigned_integer(material_version);
  pack_map(pack, "env", environment, pack_text);
  pack.text("sig");
  pack_digest(signature);
  pack_map(pack, "args", arguments, pack_digest);
  pack.text("code");
  if (code)
    pack_digest(*code);
  else
    pack.nil();
  pack_map(pack, "deps", dependencies, pack_digest);
  pack.text("name");
  pack.text(name);
  pack.text("salt");
  pack.bytes(salt);
  pack.text("account");
  pack.text(account);
  pack.text("version");
  pack.text(version);
  return bytes;
}

Result<Material> Material::decode(std::string_view bytes) {
  Unpacker unpack(bytes);
  auto key = [&](std::string_view expected) {
    if (unpack.text() != expected) unpack.fail();
  };
  auto digest = [&] {
    auto read = Digest::from_raw(unpack.bytes());
    if (!read) unpack.fail();
    return read.value_or(Digest{});
  };
  auto digests = [&](std::string_view called) {
    key(called);
    std::map<std::string, Digest> map;
    for (std::uint32_t n = unpack.map(); n > 0 && !unpack.failed(); --n) {
      std::string entry(unpack.text());
      map.emplace(std::move(entry), digest());
    }
    return map;
  };

  Material material;
  if (unpack.map() != 10) unpack.fail();
  key("v");
  if (unpack.unsigned_integer() != material_version) unpack.fail();
  key("env");
  for (std::uint32_t n = unpack.map(); n > 0 && !unpack.failed(); --n) {
    std::string entry(unpack.text());
    material.environment.emplace(std::move(entry), unpack.text());
  }
  key("sig");
  material.signature = digest();
  material.arguments = digests("args");
  key("code");
  if (unpack.next_is_nil())
    unpack.nil();
  else
    material.code = digest();
  material.dependencies = digests("deps");
  key("name");
  material.name = unpack.text();
  key("salt");
  material.salt = unpack.bytes();
  key("account");
  material.account = unpack.text();
  key("version");
  material.version = unpack.text();
  // There is one way to write a material; anything else was not written by us.
  if (!unpack.at_end() || material.encode() != bytes)
    return fail(ErrorCode::corrupt, "key material does not decode");
  return material;
}

Status Material::check() const {
  auto bad = [](std::string message) {
    return fail(ErrorCode::invalid_argument, std::move(message));
  };
  if (account.empty()) return bad("an account has a name");
  if (name.empty()) return bad("task has no name to cache under");
  if (version.find_first_not_of(" \t\r\n\v\f") == std::string::npos)
    return bad(fmt::format("cache version of \"{}\" must not be empty",
                           shorten(escape_for_terminal(name), 80)));
  if (!is_utf8(account) || !is_utf8(name) || !is_utf8(version))
    return bad("account, task name or cache version is not UTF-8");
  for (const auto& [variable, value] : environment)
    if (!is_utf8(variable) || !is_utf8(value))
      return bad(fmt::format("environment variable \"{}\" is not UTF-8",
                             shorten(escape_for_terminal(variable), 80)));
  for (const auto* digests : {&arguments, &dependencies})
    for (const auto& entry : *digests)
      if (!is_utf8(entry.first))
        return bad(
            fmt::format("name \"{}\" is not UTF-8", shorten(escape_for_terminal(entry.first), 80)));
  return {};
}

Key Key::of(const Material& material) {
  return Key{digest_in("key", material.encode())};
}

std::string Key::text() const {
  return "k1:" + digest.hex();
}

Result<Key> Key::parse(std::string_view text) {
  constexpr std::string_view prefix = "k1:";
  Key key;
  if (!text.starts_with(prefix) || text.size() != prefix.size() + 64 ||
      !from_hex(text.substr(prefix.size()), key.digest.bytes.data())) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" is not a cache key; expected \"k1:\" and 64 hex digits",
                            shorten(escape_for_terminal(text), 80)));
  }
  return key;
}

}  // namespace reprise
