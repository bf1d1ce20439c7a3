// Layout of a batch, format 1 (docs/protocol.md, "Journal batch"). "v" is a LEB128 number, "z" a
// zigzag one:
//
//   byte  version = 1
//   v     number of task changes × 2 + (a run change follows)
//   z     nanoseconds since 1970 of the first change; later times are differences from the previous
//   each task change:
//     byte  state (5 bits) | executed << 5 | has details << 6
//     byte  cache outcome (3 bits) | kind of result (2 bits) << 3 | has duration << 5
//           | run_count is 1 << 6 | counts follow << 7
//     z     task id, as a difference from the previous
//     z     time difference
//     [z duration]  [v run_count, v loop_count]
//     [v size of the result, 32 bytes digest, and for kind "with bytes" the bytes]
//     [v length of the details, then fields: v tag, v length, content; unknown tags are skipped]
//   the run change: byte state, z time difference, v length, message
//
// Newer programs may append tags and bytes after the end; older ones skip both. Anything else needs
// a new version.
#include "journal/records.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace reprise::journal {
namespace {

constexpr std::uint8_t format_version = 1;
constexpr std::size_t smallest_change = 4;  // bytes

enum class ResultKind : std::uint8_t { none, nil, by_digest, with_bytes };
enum Tag : std::uint8_t {
  tag_message = 1,
  tag_start_time,
  tag_key,
  tag_origin,
  tag_label,
  tag_width,
  tag_exit_code,
  tag_signal,
  tag_failure,
  tag_worker,
  tag_expired,
  tag_passed,
};

std::uint64_t zigzag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}
// Differences wrap around, so that every pair of times can be told, however far apart.
std::int64_t difference(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}
std::int64_t sum(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}
std::int64_t nanoseconds(Time time) {
  return time.time_since_epoch().count();
}

class Writer {
 public:
  explicit Writer(std::size_t expected) { out_.reserve(expected); }

  void byte(std::uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void number(std::uint64_t value) {
    char buffer[10];
    std::size_t n = 0;
    while (value >= 0x80) {
      buffer[n++] = static_cast<char>(value | 0x80);
      value >>= 7;
    }
    buffer[n++] = static_cast<char>(value);
    out_.append(buffer, n);
  }
  void signed_number(std::int64_t value) { number(zigzag(value)); }
  void raw(std::string_view bytes) { out_.append(bytes); }
  void field(Tag tag, std::string_view content) {
    byte(tag);
    number(content.size());
    raw(content);
  }
  void number_field(Tag tag, std::uint64_t value) {
    Writer content(10);
    content.number(value);
    field(tag, content.out_);
  }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// Reads on after the end give zeros and set `failed`, so that callers check once.
class Reader {
 public:
  explicit Reader(std::string_view data) : data_(data) {}

  std::uint8_t byte() {
    if (at_ >= data_.size()) return fail(), std::uint8_t{0};
    return static_cast<std::uint8_t>(data_[at_++]);
  }
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint8_t next = byte();
      if (shift == 63 && next > 1) break;
      value |= std::uint64_t{next & 0x7fu} << shift;
      if (next < 0x80) return value;
    }
    fail();
    return 0;
  }
  std::uint64_t number_up_to(std::uint64_t max) {
    const std::uint64_t value = number();
    if (value > max) fail();
    return failed_ ? 0 : value;
  }
  std::int64_t signed_number() { return unzigzag(number()); }
  std::string_view raw(std::uint64_t size) {
    if (failed_ || size > left()) return fail(), std::string_view{};
    std::string_view result = data_.substr(at_, static_cast<std::size_t>(size));
    at_ += static_cast<std::size_t>(size);
    return result;
  }
  std::string_view text() { return raw(number()); }
  [[nodiscard]] std::size_t left() const { return failed_ ? 0 : data_.size() - at_; }
  void fail() {
    failed_ = true;
    at_ = data_.size();
  }
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  std::string_view data_;
  std::size_t at_ = 0;
  bool failed_ = false;
};

ResultKind kind_of(const Payload& result) {
  if (result.is_none()) return ResultKind::none;
  if (result.is_nil()) return ResultKind::nil;
  return result.bytes && result.size <= inline_result_bytes ? ResultKind::with_bytes
                                                            : ResultKind::by_digest;
}

std::string encode_detail(const ChangeDetail& detail) {
  Writer out(128);
  if (!detail.message.empty()) out.field(tag_message, detail.message);
  if (detail.start_time) out.number_field(tag_start_time, zigzag(nanoseconds(*detail.start_time)));
  if (detail.key) out.field(tag_key, detail.key->digest.raw());
  if (detail.origin)
    out.field(tag_origin, {reinterpret_cast<const char*>(detail.origin->bytes.data()),
                           detail.origin->bytes.size()});
  for (const std::string& label : detail.labels) out.field(tag_label, label);
  if (detail.width != 0) out.number_field(tag_width, detail.width);
  if (detail.exit_code != 0) out.number_field(tag_exit_code, zigzag(detail.exit_code));
  if (detail.signal != 0) out.number_field(tag_signal, zigzag(detail.signal));
  if (detail.failure != FailureClass::none)
    out.number_field(tag_failure, static_cast<std::uint64_t>(detail.failure));
  if (!detail.worker.empty()) out.field(tag_worker, detail.worker);
  if (detail.expired) out.number_field(tag_expired, zigzag(nanoseconds(*detail.expired)));
  if (detail.passed != PassedStates{}) {
    Writer states(detail.passed.size());
    for (const TaskState state : detail.passed)
      if (state != TaskState::pending) states.byte(static_cast<std::uint8_t>(state));
    out.field(tag_passed, states.take());
  }
  return out.take();
}

std::int32_t small_signed(Reader& content) {
  return static_cast<std::int32_t>(unzigzag(content.number_up_to(UINT32_MAX)));
}

bool decode_detail(std::string_view bytes, ChangeDetail& detail) {
  Reader in(bytes);
  while (in.left() > 0) {
    const std::uint64_t tag = in.number();
    const std::string_view text = in.text();
    Reader content(text);
    switch (tag) {
      case tag_message:
        detail.message = text;
        break;
      case tag_start_time:
        detail.start_time = Time(Duration(content.signed_number()));
        break;
      case tag_key: {
        auto digest = Digest::from_raw(text);
        if (!digest) return false;
        detail.key = Key{*digest};
        break;
      }
      case tag_origin:
        if (text.size() != sizeof detail.origin->bytes) return false;
        detail.origin.emplace();
        std::memcpy(detail.origin->bytes.data(), text.data(), text.size());
        break;
      case tag_label:
        detail.labels.emplace_back(text);
        break;
      case tag_width:
        detail.width = static_cast<std::uint32_t>(content.number_up_to(UINT32_MAX));
        break;
      case tag_exit_code:
        detail.exit_code = small_signed(content);
        break;
      case tag_signal:
        detail.signal = small_signed(content);
        break;
      case tag_failure:
        detail.failure = static_cast<FailureClass>(
            content.number_up_to(static_cast<std::uint64_t>(last_failure_class)));
        break;
      case tag_worker:
        detail.worker = text;
        break;
      case tag_expired:
        detail.expired = Time(Duration(content.signed_number()));
        break;
      case tag_passed:
        if (text.size() > detail.passed.size()) return false;
        for (std::size_t i = 0; i < text.size(); ++i) {
          const std::uint8_t state = content.byte();
          if (state == 0 || state >= task_state_count) return false;  // pending is none
          detail.passed[i] = static_cast<TaskState>(state);
        }
        break;
      default:
        break;  // from a newer program
    }
    if (content.failed()) return false;
  }
  return !in.failed();
}

void encode_change(Writer& out, const TaskChange& change, std::int64_t& last_task,
                   std::int64_t& last_time) {
  const ResultKind kind = kind_of(change.result);
  const bool timed = change.duration.count() != 0;
  const bool counted = change.loop_count != 1 || change.run_count > 1;
  const std::int64_t time = nanoseconds(change.at);
  const auto bits = [](bool value, int at) { return static_cast<unsigned>(value) << at; };
  out.byte(static_cast<std::uint8_t>(static_cast<unsigned>(change.state) |
                                     bits(change.executed, 5) |
                                     bits(change.detail.has_value(), 6)));
  out.byte(static_cast<std::uint8_t>(
      static_cast<unsigned>(change.cache) | static_cast<unsigned>(kind) << 3 | bits(timed, 5) |
      bits(!counted && change.run_count == 1, 6) | bits(counted, 7)));
  out.signed_number(std::int64_t{change.task.value} - last_task);
  out.signed_number(difference(time, last_time));
  last_task = change.task.value;
  last_time = time;
  if (timed) out.signed_number(change.duration.count());
  if (counted) {
    out.number(change.run_count);
    out.number(change.loop_count);
  }
  if (kind == ResultKind::by_digest || kind == ResultKind::with_bytes) {
    out.number(change.result.size);
    out.raw(change.result.digest.raw());
    if (kind == ResultKind::with_bytes) out.raw(change.result.view());
  }
  if (change.detail) {
    const std::string detail = encode_detail(*change.detail);
    out.number(detail.size());
    out.raw(detail);
  }
}

bool decode_result(Reader& in, ResultKind kind, Payload& result) {
  if (kind == ResultKind::none) return true;
  if (kind == ResultKind::nil) {
    result = Payload::nil();
    return true;
  }
  result.size = in.number();
  auto digest = Digest::from_raw(in.raw(sizeof(Digest)));
  if (!digest || result.size == 0) return false;
  result.digest = *digest;
  if (kind == ResultKind::with_bytes) {
    const std::string_view bytes = in.raw(result.size);
    if (in.failed()) return false;
    result.bytes = std::make_shared<const std::string>(bytes);
  }
  return true;
}

bool decode_change(Reader& in, TaskChange& change, std::int64_t& last_task,
                   std::int64_t& last_time) {
  const std::uint8_t first = in.byte();
  const std::uint8_t second = in.byte();
  const unsigned state = first & 0x1fu;
  const unsigned cache = second & 0x07u;
  if (state >= task_state_count || cache > static_cast<unsigned>(CacheOutcome::bypass) ||
      (first & 0x80u))
    return false;
  change.state = static_cast<TaskState>(state);
  change.cache = static_cast<CacheOutcome>(cache);
  change.executed = (first & 0x20u) != 0;
  last_task = sum(last_task, in.signed_number());
  if (last_task < 0 || last_task > UINT32_MAX) return false;
  change.task = TaskId{static_cast<std::uint32_t>(last_task)};
  last_time = sum(last_time, in.signed_number());
  change.at = Time(Duration(last_time));
  if (second & 0x20u) change.duration = Duration(in.signed_number());
  if (second & 0x40u) change.run_count = 1;
  if (second & 0x80u) {
    change.run_count = static_cast<std::uint32_t>(in.number_up_to(UINT32_MAX));
    change.loop_count = static_cast<std::uint32_t>(in.number_up_to(UINT32_MAX));
  }
  if (!decode_result(in, static_cast<ResultKind>((second >> 3) & 3u), change.result)) return false;
  if (first & 0x40u) {
    const std::string_view detail = in.text();
    if (in.failed() || !decode_detail(detail, change.detail.emplace())) return false;
  }
  return !in.failed();
}

}  // namespace

bool is_refresh(const TaskChange& change) {
  return change.state == TaskState::cached && change.executed && change.detail &&
         change.detail->expired && change.detail->failure == FailureClass::none;
}

std::vector<TaskState> states_on_the_way(const TaskChange& change) {
  const FailureClass failure = change.detail ? change.detail->failure : FailureClass::none;
  if (is_refresh(change)) return {change.state};
  if (change.detail && change.detail->passed != PassedStates{}) {
    std::vector<TaskState> states;
    for (const TaskState state : change.detail->passed)
      if (state != TaskState::pending) states.push_back(state);
    states.push_back(change.state);
    return states;
  }
  if (change.state == TaskState::cached && change.executed && failure == FailureClass::none)
    return {TaskState::success, TaskState::cached};
  // A retry, or a stale result that stands in, as earlier programs recorded it.
  const bool had_failed = change.state == TaskState::retrying || change.state == TaskState::cached;
  if (!had_failed || failure == FailureClass::none) return {change.state};
  switch (failure) {
    case FailureClass::timeout:
      return {TaskState::timed_out, change.state};
    case FailureClass::validation:
      return {TaskState::validation_failed, change.state};
    default:
      return {TaskState::failed, change.state};
  }
}

std::string encode(const Batch& batch) {
  Writer out(16 + batch.tasks.size() * 16);
  out.byte(format_version);
  out.number(batch.tasks.size() * 2 + (batch.change ? 1 : 0));
  std::int64_t last_time = 0;
  if (!batch.tasks.empty())
    last_time = nanoseconds(batch.tasks.front().at);
  else if (batch.change)
    last_time = nanoseconds(batch.change->at);
  out.signed_number(last_time);
  std::int64_t last_task = 0;
  for (const TaskChange& change : batch.tasks) encode_change(out, change, last_task, last_time);
  if (batch.change) {
    out.byte(static_cast<std::uint8_t>(batch.change->state));
    out.signed_number(difference(nanoseconds(batch.change->at), last_time));
    out.number(batch.change->message.size());
    out.raw(batch.change->message);
  }
  return out.take();
}

Result<Batch> decode(RunId run, std::string_view bytes) {
  const auto corrupt = [&] {
    return fail(ErrorCode::corrupt, "journal batch of run " + run.text() + " does not decode");
  };
  Reader in(bytes);
  if (in.byte() != format_version)
    return fail(ErrorCode::corrupt,
                "journal batch of run " + run.text() + " is of an unknown version");
  Batch batch;
  batch.run = run;
  const std::uint64_t header = in.number();
  std::int64_t last_time = in.signed_number();
  std::int64_t last_task = 0;
  if (in.failed() || header / 2 > in.left() / smallest_change) return corrupt();
  batch.tasks.reserve(static_cast<std::size_t>(header / 2));
  for (std::uint64_t i = 0; i < header / 2; ++i)
    if (!decode_change(in, batch.tasks.emplace_back(), last_task, last_time)) return corrupt();
  if (header & 1) {
    RunChange change;
    const std::uint8_t state = in.byte();
    if (state > static_cast<std::uint8_t>(RunState::interrupted)) return corrupt();
    change.state = static_cast<RunState>(state);
    change.at = Time(Duration(sum(last_time, in.signed_number())));
    change.message = in.text();
    batch.change = std::move(change);
  }
  if (in.failed()) return corrupt();
  return batch;
}

}  // namespace reprise::journal
