#include "reprise/detail/writer.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "core/canon.hpp"
#include "core/pack.hpp"
#include "core/text.hpp"

namespace reprise::codec {
namespace {

constexpr std::size_t max_size = 0xffff'ffff;

void check_size(std::size_t size) {
  if (size > max_size) throw std::length_error("a value holds at most 4294967295 bytes or items");
}

}  // namespace

void writer::nil() {
  begin_item();
  Packer(out_).nil();
  end_item();
}

void writer::boolean(bool value) {
  begin_item();
  Packer(out_).boolean(value);
  end_item();
}

void writer::integer(std::int64_t value) {
  begin_item();
  Packer(out_).integer(value);
  end_item();
}

void writer::natural(std::uint64_t value) {
  begin_item();
  Packer(out_).unsigned_integer(value);
  end_item();
}

void writer::real(double value) {
  begin_item();
  Packer(out_).real(value);
  end_item();
}

void writer::text(std::string_view value) {
  check_size(value.size());
  begin_item();
  Packer(out_).text(value);
  if (!is_utf8(value)) not_cacheable("text is not UTF-8");
  end_item();
}

void writer::bytes(std::string_view value) {
  check_size(value.size());
  begin_item();
  Packer(out_).bytes(value);
  end_item();
}

void writer::extension(std::int8_t code, std::string_view payload) {
  check_size(payload.size());
  begin_item();
  Packer(out_).ext(code, payload);
  end_item();
}

void writer::time(std::int64_t seconds, std::uint32_t nanoseconds) {
  char payload[12];  // big endian
  for (int i = 0; i < 4; ++i) payload[i] = static_cast<char>(nanoseconds >> (24 - 8 * i));
  for (int i = 0; i < 8; ++i)
    payload[4 + i] = static_cast<char>(static_cast<std::uint64_t>(seconds) >> (56 - 8 * i));
  extension(ext_time, {payload, sizeof payload});
}

void writer::begin_list(std::size_t items) {
  check_size(items);
  begin_item();
  Packer(out_).array(items);
  open({.kind = shape::list, .start = out_.size()}, items);
}

void writer::begin_map(std::size_t entries) {
  check_size(entries);
  begin_item();
  Packer(out_).map(entries);
  open({.kind = shape::map, .start = out_.size()}, entries * 2);
}

void writer::begin_tuple(std::size_t items) {
  begin_item();
  open({.kind = shape::wrapper, .code = ext_tuple, .start = out_.size()}, 1);
  begin_list(items);
}

void writer::begin_set(std::size_t items) {
  check_size(items);
  begin_item();
  // The extension and the list in it are one level, unlike those of a tuple; see core/canon.hpp.
  open({.kind = shape::set, .code = ext_set, .start = out_.size()}, items);
}

void writer::begin_record(std::string_view type, std::string_view version, std::size_t fields) {
  begin_item();
  open({.kind = shape::wrapper, .code = ext_record, .start = out_.size()}, 1);
  begin_list(3);
  text(type);
  text(version);
  begin_map(fields);
}

void writer::begin_text(std::size_t size) {
  check_size(size);
  begin_item();
  open({.kind = shape::text_body, .start = out_.size()}, size);
}

void writer::begin_bytes(std::size_t size) {
  check_size(size);
  begin_item();
  open({.kind = shape::bytes_body, .start = out_.size()}, size);
}

void writer::begin_extension(std::int8_t code, std::size_t size) {
  check_size(size);
  begin_item();
  open({.kind = shape::ext_body, .code = code, .start = out_.size()}, size);
}

void writer::append(std::string_view piece) {
  if (piece.empty()) return;
  if (frames_.empty() || !is_body(frames_.back().kind) || piece.size() > frames_.back().remaining)
    throw std::logic_error("msgpack_pack wrote a body longer than its header says");
  out_.append(piece);
  frames_.back().remaining -= piece.size();
  if (frames_.back().remaining == 0) pop();
}

void writer::not_cacheable(std::string_view why) {
  if (uncacheable_.empty()) uncacheable_ = why;
}

encoded writer::finish() {
  if (!frames_.empty() || out_.empty())
    throw std::logic_error("msgpack_pack wrote fewer items than its header says");
  return {.bytes = std::exchange(out_, {}), .uncacheable = std::exchange(uncacheable_, {})};
}

void writer::open(frame next, std::size_t items) {
  next.remaining = items;
  next.first_mark = marks_.size();
  frames_.push_back(next);
  if (items == 0) pop();
}

void writer::begin_item() {
  // The root is level 0; every open frame that is not a body is one level.
  if (frames_.size() > static_cast<std::size_t>(max_value_depth))
    not_cacheable("it is nested deeper than 64 levels");
  if (frames_.empty()) {
    if (!out_.empty()) throw std::logic_error("msgpack_pack wrote more than one value");
    return;
  }
  const frame& top = frames_.back();
  if (is_body(top.kind))
    throw std::logic_error("msgpack_pack wrote a body shorter than its header says");
  if (top.kind == shape::map || top.kind == shape::set) marks_.push_back(out_.size());
}

void writer::end_item() {
  if (!frames_.empty() && --frames_.back().remaining == 0) pop();
}

void writer::pop() {
  const frame done = frames_.back();
  frames_.pop_back();
  close(done);
  marks_.resize(done.first_mark);
  end_item();  // what just ended is an item of what encloses it
}

void writer::close(const frame& done) {
  switch (done.kind) {
    case shape::list:
      return;
    case shape::map:
      return sort_map(done);
    case shape::set:
      return sort_set(done);
    case shape::wrapper:
    case shape::text_body:
    case shape::bytes_body:
    case shape::ext_body:
      break;
  }
  const std::string body = out_.substr(done.start);
  out_.resize(done.start);
  if (done.kind == shape::text_body) {
    Packer(out_).text(body);
    if (!is_utf8(body)) not_cacheable("text is not UTF-8");
  } else if (done.kind == shape::bytes_body) {
    Packer(out_).bytes(body);
  } else {
    check_size(body.size());
    Packer(out_).ext(done.code, body);
  }
}

void writer::sort_map(const frame& done) {
  if (marks_.size() == done.first_mark) return;
  struct entry {
    std::string_view key;
    std::string_view whole;
  };
  const std::string_view all = out_;
  std::vector<entry> entries;
  entries.reserve((marks_.size() - done.first_mark) / 2);
  for (std::size_t i = done.first_mark; i < marks_.size(); i += 2) {
    const std::size_t end = i + 2 < marks_.size() ? marks_[i + 2] : all.size();
    entries.push_back(
        {all.substr(marks_[i], marks_[i + 1] - marks_[i]), all.substr(marks_[i], end - marks_[i])});
  }
  const auto before = [](const entry& a, const entry& b) { return a.key < b.key; };
  const bool sorted = std::is_sorted(entries.begin(), entries.end(), before);
  if (!sorted) std::stable_sort(entries.begin(), entries.end(), before);
  for (std::size_t i = 1; i < entries.size(); ++i)
    if (entries[i - 1].key == entries[i].key) not_cacheable("a map has the same key twice");
  if (sorted) return;
  std::string body;
  body.reserve(all.size() - marks_[done.first_mark]);
  for (const entry& e : entries) body.append(e.whole);
  out_.replace(marks_[done.first_mark], std::string::npos, body);
}

void writer::sort_set(const frame& done) {
  const std::string_view all = out_;
  std::vector<std::string_view> items;
  items.reserve(marks_.size() - done.first_mark);
  for (std::size_t i = done.first_mark; i < marks_.size(); ++i) {
    const std::size_t end = i + 1 < marks_.size() ? marks_[i + 1] : all.size();
    items.push_back(all.substr(marks_[i], end - marks_[i]));
  }
  std::sort(items.begin(), items.end());
  items.erase(std::unique(items.begin(), items.end()), items.end());
  const std::string list = encode_list(items);
  check_size(list.size());
  out_.resize(done.start);
  Packer(out_).ext(done.code, list);
}

}  // namespace reprise::codec
