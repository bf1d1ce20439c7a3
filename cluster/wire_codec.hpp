// Fields of messages to msgpack and back; see wire.hpp. Private to it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "cluster/wire.hpp"
#include "core/pack.hpp"
#include "journal/records.hpp"

namespace reprise::cluster::wire {

class Writer {
 public:
  explicit Writer(std::string& out) : pack(out) {}

  template <class... Fields>
  void all(const Fields&... fields) {
    pack.array(sizeof...(fields));
    (write(fields), ...);
  }

  void write(bool value) { pack.boolean(value); }
  void write(std::uint64_t value) { pack.unsigned_integer(value); }
  void write(std::uint32_t value) { pack.unsigned_integer(value); }
  void write(std::int32_t value) { pack.integer(value); }
  void write(Duration value) { pack.integer(value.count()); }
  void write(Time value) { pack.integer(value.time_since_epoch().count()); }
  void write(const std::string& value) { pack.bytes(value); }
  void write(const Digest& value) { pack.bytes(value.raw()); }
  void write(const Key& value) { write(value.digest); }
  void write(const RunId& value) {
    pack.bytes({reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size()});
  }
  template <class Tag>
  void write(Id<Tag> id) {
    pack.unsigned_integer(id.value);
  }
  template <class Enum>
  requires std::is_enum_v<Enum>
  void write(Enum value) { pack.unsigned_integer(static_cast<std::uint64_t>(value)); }
  template <class T>
  void write(const std::optional<T>& value) {
    value ? write(*value) : pack.nil();
  }
  template <class T>
  void write(const std::vector<T>& elements) {
    pack.array(elements.size());
    for (const T& element : elements) write(element);
  }
  template <class T>
  void write(const std::map<std::string, T>& entries) {
    pack.array(2 * entries.size());
    for (const auto& [name, value] : entries) {
      write(name);
      write(value);
    }
  }
  /// Short ones with their bytes, longer ones as what identifies them.
  void write(const Payload& payload) {
    if (payload.is_none()) return pack.nil();
    if (payload.is_at_hand() && payload.size <= journal::inline_result_bytes)
      return pack.bytes(payload.view());
    all(payload.digest, payload.size);
  }
  void write(const FileValue& value) { all(value.content, value.size, value.executable); }
  void write(const Resources& value) { all(value.cpu_milli, value.memory_bytes, value.custom); }
  void write(const scheduler::AttemptRef& value) {
    if (value.epoch == 0) return all(value.run, value.task, value.number);
    all(value.run, value.task, value.number, value.epoch);
  }
  void write(const InventoryItem& value) {
    all(value.attempt.run, value.attempt.task, value.attempt.number, value.attempt.epoch, value.run,
        value.node, value.map_index, value.work);
  }
  void write(const scheduler::Began::Start& value) { all(value.attempt, value.at); }
  void write(const scheduler::Report& value) { all(value.attempt, value.outcome); }
  void write(const Outcome& value) {
    all(value.state, value.value, value.message, value.failure, value.uncacheable, value.exit_code,
        value.signal, value.started, value.duration, value.executed, value.stored, value.start_time,
        value.is_final);
  }
  void write(const StateRecord& value) {
    all(value.state, value.message, value.result, value.start_time);
  }
  void write(const Question::Upstream& value) { all(value.name, value.state); }
  void write(const Candidate& value) {
    all(value.key.digest, value.value, value.run, value.committed, value.expires, value.inputs,
        value.parameters);
  }
  void write(const Question& value) {
    all(value.kind, value.before, value.after, value.run_before, value.run_after, value.run_message,
        value.upstreams, value.candidates);
  }
  void write(const Lease& value) { all(value.owner, value.token); }
  void write(const journal::Batch& value) { all(value.run, journal::encode(value)); }
  void write(const Status& value) {
    if (value) return pack.nil();
    all(value.error().code, value.error().message);
  }

  Packer pack;
};

/// The most elements of a list: so much more than anybody sends that it never matters, and so few
/// that a long message of tiny elements cannot fill the memory.
template <class T>
inline constexpr std::uint32_t max_elements = sizeof(T) <= 64 ? 1u << 20 : 1u << 16;

/// After the first thing that does not fit, everything read is empty and failed() is true.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : in(bytes) {}

  /// A newer program may send more fields: they are skipped.
  template <class... Fields>
  void all(Fields&... fields) {
    const std::uint32_t count = in.array();
    if (count < sizeof...(fields)) return in.fail();
    (read(fields), ...);
    for (std::uint32_t i = sizeof...(fields); i < count && !in.failed(); ++i) (void)in.skip();
  }
  [[nodiscard]] Status done() const {
    if (in.at_end()) return {};
    return fail(ErrorCode::corrupt, "a message does not decode");
  }

  void read(bool& value) { value = in.boolean(); }
  void read(std::uint64_t& value) { value = in.unsigned_integer(); }
  void read(std::uint32_t& value) { value = in.index(); }
  void read(std::int32_t& value) {
    const std::int64_t got = in.integer();
    if (got < INT32_MIN || got > INT32_MAX) return in.fail();
    value = static_cast<std::int32_t>(got);
  }
  void read(Duration& value) { value = Duration(in.integer()); }
  void read(Time& value) { value = Time(Duration(in.integer())); }
  void read(std::string& value) { value = in.bytes(); }
  void read(Digest& value) {
    if (auto got = Digest::from_raw(in.bytes()))
      value = *got;
    else
      in.fail();
  }
  void read(Key& value) { read(value.digest); }
  void read(RunId& value) {
    const std::string_view got = in.bytes();
    if (got.size() != value.bytes.size()) return in.fail();
    std::memcpy(value.bytes.data(), got.data(), got.size());
  }
  template <class Tag>
  void read(Id<Tag>& id) {
    id.value = in.index();
  }
  void read(TaskState& value) { limited(value, task_state_count - 1); }
  void read(RunState& value) { limited(value, static_cast<int>(RunState::interrupted)); }
  void read(FailureClass& value) { limited(value, static_cast<int>(last_failure_class)); }
  void read(CacheMode& value) { limited(value, static_cast<int>(CacheMode::only)); }
  void read(ErrorCode& value) { limited(value, static_cast<int>(ErrorCode::internal)); }
  void read(Question::Kind& value) { limited(value, static_cast<int>(Question::Kind::validator)); }
  template <class T>
  void read(std::optional<T>& value) {
    value.reset();
    if (in.next_is_nil()) return in.nil();
    read(value.emplace());
  }
  template <class T>
  void read(std::vector<T>& elements) {
    elements.clear();
    std::uint32_t count = in.array();
    if (count > max_elements<T>) in.fail();
    for (; count > 0 && !in.failed(); --count) read(elements.emplace_back());
  }
  template <class T>
  void read(std::map<std::string, T>& entries) {
    entries.clear();
    const std::uint32_t count = in.array();
    if (count % 2 != 0 || count > max_elements<std::string>) in.fail();
    for (std::uint32_t i = 0; i < count && !in.failed(); i += 2) {
      std::string name;
      T value{};
      read(name);
      read(value);
      if (!entries.empty() && entries.rbegin()->first >= name) in.fail();  // one order only
      entries.emplace_hint(entries.end(), std::move(name), std::move(value));
    }
  }
  void read(Payload& payload) {
    payload = {};
    Unpacker::Token token;
    if (!in.next(token) || token.kind == Unpacker::Kind::nil) return;
    if (token.kind == Unpacker::Kind::bytes) {
      Unpacker value(token.data);
      (void)value.skip();
      if (!value.at_end()) return in.fail();
      payload = Payload::of(std::string(token.data));
    } else if (token.kind == Unpacker::Kind::array && token.count == 2) {
      read(payload.digest);
      read(payload.size);
      if (payload.is_none()) in.fail();
    } else {
      in.fail();
    }
  }
  void read(FileValue& value) { all(value.content, value.size, value.executable); }
  void read(Resources& value) { all(value.cpu_milli, value.memory_bytes, value.custom); }
  void read(scheduler::AttemptRef& value) {
    std::uint32_t count = in.array();
    if (count < 3) return in.fail();
    read(value.run);
    read(value.task);
    read(value.number);
    value.epoch = 0;
    if (count > 3) read(value.epoch);
    for (; count > 4 && !in.failed(); --count) (void)in.skip();
  }
  void read(InventoryItem& value) {
    all(value.attempt.run, value.attempt.task, value.attempt.number, value.attempt.epoch, value.run,
        value.node, value.map_index, value.work);
  }
  void read(scheduler::Began::Start& value) { all(value.attempt, value.at); }
  void read(scheduler::Report& value) { all(value.attempt, value.outcome); }
  void read(Outcome& value) {
    all(value.state, value.value, value.message, value.failure, value.uncacheable, value.exit_code,
        value.signal, value.started, value.duration, value.executed, value.stored, value.start_time,
        value.is_final);
  }
  void read(StateRecord& value) { all(value.state, value.message, value.result, value.start_time); }
  void read(Question::Upstream& value) { all(value.name, value.state); }
  void read(Candidate& value) {
    all(value.key.digest, value.value, value.run, value.committed, value.expires, value.inputs,
        value.parameters);
  }
  void read(Question& value) {
    all(value.kind, value.before, value.after, value.run_before, value.run_after, value.run_message,
        value.upstreams, value.candidates);
  }
  void read(Lease& value) { all(value.owner, value.token); }
  void read(journal::Batch& value) {
    RunId run;
    std::string bytes;
    all(run, bytes);
    if (in.failed()) return;
    if (auto batch = journal::decode(run, bytes))
      value = std::move(*batch);
    else
      in.fail();
  }
  void read(Status& value) {
    if (in.next_is_nil()) {
      value = {};
      return in.nil();
    }
    Error error;
    all(error.code, error.message);
    value = tl::unexpected(std::move(error));
  }

  Unpacker in;

 private:
  template <class Enum>
  void limited(Enum& value, int last) {
    value = static_cast<Enum>(in.unsigned_integer(static_cast<std::uint64_t>(last)));
  }
};

// A plain message: its fields, in order, once for both directions.
#define REPRISE_WIRE_CODEC(Type, ...)              \
  std::string encode(const Type& m) {              \
    std::string bytes;                             \
    Writer(bytes).all(__VA_ARGS__);                \
    return bytes;                                  \
  }                                                \
  Status decode(std::string_view bytes, Type& m) { \
    Reader reader(bytes);                          \
    reader.all(__VA_ARGS__);                       \
    return reader.done();                          \
  }

}  // namespace reprise::cluster::wire
