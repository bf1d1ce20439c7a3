#include "flow/load.hpp"

#include <sys/resource.h>

#include <rapidcheck/boost_test.h>
#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <filesystem>

#include "flow/wfformat.hpp"
#include "tests/flow/import_support.hpp"

namespace reprise {

BOOST_AUTO_TEST_SUITE(load_tests)
namespace {

using test::gzip;
using test::listed;
using test::TemporaryFolder;

const std::string trace =
    R"({"name": "two", "schemaVersion": "1.5", "workflow": {"specification": {"tasks": [
      {"name": "a", "id": "a", "parents": [], "children": ["b"]},
      {"name": "b", "id": "b", "parents": ["a"], "children": []}]}}})";
const std::string graph = "1\n0 0 0\n1 3 1 0\n2 0 1 1\n";
const std::string flow_file = "version: 1\ntasks:\n  hello: {run: [echo, hello]}\n";

std::string mistakes_of(const std::string& path, const LoadOptions& options = {}) {
  const auto loaded = load_flow(path, options);
  return loaded ? std::string() : listed(loaded.error().mistakes);
}

std::string why_not(const tl::expected<LoadedFlow, LoadFailure>& loaded) {
  return loaded ? std::string() : listed(loaded.error().mistakes);
}

/// The kind that `text` is taken for, or the mistakes.
std::string recognised(std::string_view text, std::string_view file_name = "file") {
  const Checked<Recognised> result = recognise(text, file_name);
  return result ? std::string(name(result->kind)) : listed(result.error());
}

long peak_memory_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(InputFile)

BOOST_AUTO_TEST_CASE(content_is_read_as_it_is) {
  const TemporaryFolder folder;
  const std::string bytes("a\0b\n\xff", 5);
  BOOST_TEST(read_input(folder.write("f", bytes)).value() == bytes);
  BOOST_TEST(read_input(folder.write("empty", "")).value() == "");
}

BOOST_AUTO_TEST_CASE(gzip_is_inflated_whatever_the_name) {
  const TemporaryFolder folder;
  const std::string text(3'000'000, 'x');
  BOOST_TEST((read_input(folder.write("f.json", gzip(text))).value() == text));
}

BOOST_AUTO_TEST_CASE(members_of_gzip_are_joined_and_zeros_after_them_are_padding) {
  BOOST_TEST(gunzip(gzip("one ") + gzip("") + gzip("two") + std::string(100, '\0')).value() ==
             "one two");
}

BOOST_AUTO_TEST_CASE(gzip_cut_anywhere_is_truncated) {
  const std::string whole = gzip("some text that is long enough to have a middle");
  for (std::size_t length = 2; length < whole.size(); ++length) {
    const Result<std::string> text = gunzip(whole.substr(0, length));
    BOOST_REQUIRE(!text.has_value());
    BOOST_TEST(text.error().message == "gzip data is truncated: it ends after " +
                                           std::to_string(length) +
                                           " bytes, in the middle of the content");
    BOOST_TEST((text.error().code == ErrorCode::corrupt));
  }
}

BOOST_AUTO_TEST_CASE(damaged_gzip_says_what_does_not_fit) {
  std::string checksum = gzip("text");
  checksum[checksum.size() - 8] ^= 1;
  BOOST_TEST(gunzip(checksum).error().message ==
             "gzip data is damaged near byte 20: incorrect data check");
  BOOST_TEST(gunzip("\x1f\x8bthis is no gzip").error().message ==
             "gzip data is damaged near byte 4: unknown compression method");
  BOOST_TEST(gunzip(gzip("text") + "tail").error().message ==
             "4 bytes that are not gzip follow the gzip data");
}

BOOST_AUTO_TEST_CASE(any_damage_to_gzip_is_an_error_or_harmless_but_never_a_crash) {
  const std::string whole = gzip(trace);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int change : {1, 0x80, 0xff}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ change);
      if (is_gzip(damaged)) {
        const Result<std::string> text = gunzip(damaged);
        if (text)
          BOOST_TEST((*text == trace));  // only header fields such as the time may change unseen
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(limits_hold_for_the_file_and_for_what_it_inflates_to) {
  const TemporaryFolder folder;
  InputLimits limits;
  limits.raw_bytes_max = 1000;
  BOOST_TEST(read_input(folder.write("ok", std::string(1000, 'x')), limits).has_value());
  const std::string large = folder.write("large", std::string(1001, 'x'));
  BOOST_TEST(read_input(large, limits).error().message ==
             "\"" + large + "\" is larger than 1000 B, the most that is read");
  limits.inflated_bytes_max = 5000;
  BOOST_TEST(gunzip(gzip(std::string(5000, 'x')), limits).has_value());
  BOOST_TEST(gunzip(gzip(std::string(5001, 'x')), limits).error().message ==
             "gzip content is larger than 4.9 KiB, the most that is read");
}

BOOST_AUTO_TEST_CASE(a_gzip_bomb_is_refused_before_it_has_grown) {
  const std::string bomb = gzip(std::string(std::size_t{200} << 20, '['));
  const Result<std::string> text = gunzip(bomb);
  BOOST_REQUIRE(!text.has_value());
  BOOST_TEST(text.error().message.ends_with(
      "inflates to more than 100 times its size; refused as harmful"));
  BOOST_TEST((text.error().code == ErrorCode::exhausted));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_read_says_why) {
  const TemporaryFolder folder;
  const std::string missing = (folder.path() / "nothing").string();
  BOOST_TEST(read_input(missing).error().message ==
             "cannot read \"" + missing + "\": no such file");
  const std::string directory = folder.path().string();
  BOOST_TEST(read_input(directory).error().message ==
             "cannot read \"" + directory + "\": it is a directory, not a file");
  BOOST_TEST(read_input(missing + "\x1b[31m").error().message ==
             "cannot read \"" + missing + "\\x1b[31m\": no such file");
  BOOST_TEST(read_input("").error().message == "cannot read \"\": no such file");
  BOOST_TEST(read_input(std::string("a\0b", 3)).error().message ==
             "cannot read \"a\\x00b\": no such file");
  if (::geteuid() != 0) {  // root may read everything
    const std::string secret = folder.write("secret", "x");
    std::filesystem::permissions(secret, std::filesystem::perms::none);
    BOOST_TEST(read_input(secret).error().message ==
               "cannot read \"" + secret + "\": permission denied");
  }
}

BOOST_AUTO_TEST_SUITE_END()

namespace {

// Numbers as doubles, as the tree has them.
nlohmann::json as_nlohmann(const JsonTree& tree, JsonTree::Index at) {
  const JsonNode& node = tree[at];
  nlohmann::json json;
  switch (node.kind) {
    case JsonNode::Kind::null:
      return nullptr;
    case JsonNode::Kind::boolean:
      return node.boolean;
    case JsonNode::Kind::number:
      return node.number;
    case JsonNode::Kind::text:
    case JsonNode::Kind::key:
      return std::string(node.text());
    case JsonNode::Kind::array:
      json = nlohmann::json::array();
      tree.for_each(at, [&](JsonTree::Index child) { json.push_back(as_nlohmann(tree, child)); });
      return json;
    case JsonNode::Kind::object:
      json = nlohmann::json::object();
      tree.for_each(at, [&](JsonTree::Index child) {
        json[std::string(tree[child - 1].text())] = as_nlohmann(tree, child);
      });
      return json;
  }
  return json;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(JsonText)

BOOST_AUTO_TEST_CASE(nodes_come_in_document_order_with_their_places) {
  const std::string_view text =
      R"( {"a": [1, -2, 2.5], "b" :null,"c":{"d":"x\ny"}, "e":[true ,false]} )";
  const ParsedJson json = parse_json(text);
  BOOST_REQUIRE_MESSAGE(json.ok, json.error.message);
  std::string tokens;
  for (const JsonNode& node : json.tree.nodes())
    tokens += std::string(text.substr(node.position, 2)) + "|";
  BOOST_TEST(tokens == R"({"|"a|[1|1,|-2|2.|"b|nu|"c|{"|"d|"x|"e|[t|tr|fa|)");
  BOOST_TEST(*json.tree.text(json.tree.find(json.tree.find(0, "c"), "d")) == "x\ny");
  BOOST_TEST(json.tree.find(0, "d") == JsonTree::none);
  BOOST_TEST(json.tree.size(json.tree.find(0, "a")) == 3U);
  BOOST_TEST(json.tree.size(0) == 4U);
}

BOOST_AUTO_TEST_CASE(keys_may_not_repeat_in_small_and_large_objects_but_in_different_ones) {
  BOOST_TEST(parse_json(R"({"a":{"a":1},"b":{"a":1}})").ok);
  std::string large = "{";
  for (int i = 0; i < 100'000; ++i) large += "\"k" + std::to_string(i) + "\":0,";
  BOOST_TEST(parse_json(large + "\"new\":0}").ok);
  const ParsedJson json = parse_json(large + "\"k77\":0}");
  BOOST_TEST((json.error.kind == JsonError::Kind::duplicate_key));
  BOOST_TEST(json.error.message == "key 'k77' stands twice in one object");
  BOOST_TEST(json.error.position == large.size());
}

// Two parsers read JSON: a quick one what is good, and nlohmann's what is not.
RC_BOOST_PROP(what_is_read_quickly_is_what_nlohmann_reads, ()) {
  const std::string base =
      R"( {"a": [1, -2.5e3, 18446744073709551616, true, null, "x\u00e9\n\ud83d\ude00", "é"], "b\t":{"":{}},"c" :[[]]} )";
  std::string text = base;
  const auto changes = *rc::gen::inRange<std::size_t>(0, 4);
  for (std::size_t i = 0; i < changes; ++i) {
    const auto at = *rc::gen::inRange<std::size_t>(0, text.size());
    const std::string piece = *rc::gen::elementOf(std::vector<std::string>{"",
                                                                           ",",
                                                                           ":",
                                                                           "\"",
                                                                           "[",
                                                                           "]",
                                                                           "{",
                                                                           "}",
                                                                           "\\",
                                                                           "u",
                                                                           "0",
                                                                           "1e400",
                                                                           "-",
                                                                           ".",
                                                                           "nul",
                                                                           "true",
                                                                           " ",
                                                                           "\n",
                                                                           std::string(1, '\0'),
                                                                           "\xff",
                                                                           "\xc3",
                                                                           "\xed\xa0\x80",
                                                                           "\x01",
                                                                           "/"});
    if (*rc::gen::arbitrary<bool>())
      text.insert(at, piece);
    else
      text.replace(at, 1, piece);
  }
  const bool is_good = nlohmann::json::accept(text);
  const ParsedJson json = parse_json(text);
  const bool is_repetition = json.error.kind == JsonError::Kind::duplicate_key && !json.ok;
  RC_ASSERT(json.ok == (is_good && !is_repetition));
  if (!json.ok) return;
  RC_ASSERT(as_nlohmann(json.tree, 0) == nlohmann::json::parse(text));
  for (const JsonNode& node : json.tree.nodes()) {
    const bool is_text = node.kind == JsonNode::Kind::text || node.kind == JsonNode::Kind::key;
    RC_ASSERT(!is_text || text.at(node.position) == '"');
    RC_ASSERT(node.kind != JsonNode::Kind::array || text.at(node.position) == '[');
    RC_ASSERT(node.kind != JsonNode::Kind::object || text.at(node.position) == '{');
    RC_ASSERT(node.kind != JsonNode::Kind::null || text.at(node.position) == 'n');
  }
}

BOOST_AUTO_TEST_CASE(depth_and_number_of_values_are_limited) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  BOOST_TEST(parse_json(nested(64)).ok);
  BOOST_TEST((parse_json(nested(65)).error.kind == JsonError::Kind::too_deep));
  BOOST_TEST(parse_json(nested(65)).error.position == 64U);
  JsonLimits limits;
  limits.values_max = 4;
  BOOST_TEST(parse_json("[1,2,3]", limits).ok);
  BOOST_TEST((parse_json("[1,2,3,4]", limits).error.kind == JsonError::Kind::too_many));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(Load)

BOOST_AUTO_TEST_CASE(content_decides_what_a_file_is) {
  BOOST_TEST(recognised(trace, "t.yaml") == "WfFormat trace");
  BOOST_TEST(recognised("\xef\xbb\xbf \n" + trace) == "WfFormat trace");
  BOOST_TEST(recognised(R"({"workflow": 3})") == "WfFormat trace");
  BOOST_TEST(recognised(trace.substr(0, 60)) == "WfFormat trace");
  BOOST_TEST(recognised(graph, "g.json") == "standard task graph");
  BOOST_TEST(recognised("# STG\n" + graph) == "standard task graph");
  BOOST_TEST(recognised("nonsense", "g.stg.gz") == "standard task graph");
  BOOST_TEST(recognised(flow_file, "f.txt") == "flow file");
  BOOST_TEST(recognised(R"({"version": 1, "tasks": {"a": {"run": ["true"]}}})") == "flow file");
  BOOST_TEST(recognised("{version: 1, tasks: {a: {run: [\"true\"]}}}") == "flow file");
  BOOST_TEST(recognised("nam: x", "f.yml") == "flow file");
  BOOST_TEST(recognised("'tasks' : {}") == "flow file");
}

BOOST_AUTO_TEST_CASE(what_is_nothing_of_it_is_told_by_its_looks) {
  BOOST_TEST(recognised("") == "0:0 RP2005 the file is empty");
  BOOST_TEST(recognised("\xef\xbb\xbf \n") == "0:0 RP2005 the file holds nothing but white space");
  BOOST_TEST(recognised("hello") == "0:0 RP2004 the file is neither a flow file nor a trace");
  BOOST_TEST(recognised("multitasks: no") ==
             "0:0 RP2004 the file is neither a flow file nor a trace");
  BOOST_TEST(recognised("<adag/>") ==
             "0:0 RP2004 the file is XML; Pegasus DAX and other XML formats are not read");
  BOOST_TEST(
      recognised("[1, 2]") ==
      "0:0 RP2004 the file is JSON, but neither a trace nor a flow: it is a list, not an object");
  BOOST_TEST(recognised("{\"a\": 1}") ==
             "0:0 RP2004 the file is JSON, but neither a trace (it has no 'schemaVersion' and no "
             "'workflow') nor a flow (it has no 'tasks')");
  BOOST_TEST(recognised("{\"a\": ").starts_with("1:7 RP2010 the file is not well-formed JSON: "));
  BOOST_TEST(
      recognised("oops", "t.json").starts_with("1:1 RP2010 the file is not well-formed JSON: "));
  BOOST_TEST(recognised(std::string("a\0b", 3)) ==
             "0:0 RP2004 the file holds zero bytes: it is no text");
  BOOST_TEST(recognised("\x7f"
                        "ELF\x02") == "0:0 RP2004 the file is a program, not a flow");
  BOOST_TEST(recognised(gzip("x")) ==
             "0:0 RP2004 the file is gzip within gzip; inflate it once before");
  BOOST_TEST(recognised("\xfd"
                        "7zXZ") ==
             "0:0 RP2004 the file is compressed with xz, which is not read directly: xz -dc FILE | "
             "reprise run -");
  const Checked<Recognised> result = recognise("hello", "f");
  BOOST_REQUIRE(!result.has_value());
  BOOST_TEST(result.error()[0].help.at(0).starts_with("accepted are a flow file"));
}

BOOST_AUTO_TEST_CASE(traces_and_graphs_are_loaded_with_names_and_folder) {
  const TemporaryFolder folder;
  const auto loaded = load_flow(folder.write("t.json.gz", gzip(trace)));
  BOOST_REQUIRE_MESSAGE(loaded.has_value(), why_not(loaded));
  BOOST_TEST((loaded->kind == FileKind::wfformat));
  BOOST_TEST(loaded->flow.name == "two");
  BOOST_TEST(loaded->flow.folder == folder.path().string());
  BOOST_TEST(loaded->flow.source_file == (folder.path() / "t.json.gz").string());
  BOOST_TEST(loaded->text == trace);

  LoadOptions options;
  options.trace.mode = TraceMode::sleep;
  const auto stg = load_flow(folder.write("rand0001.stg", graph), options);
  BOOST_REQUIRE_MESSAGE(stg.has_value(), why_not(stg));
  BOOST_TEST(stg->flow.name == "rand0001");
  BOOST_TEST(stg->flow.nodes.size() == 3U);
}

BOOST_AUTO_TEST_CASE(flow_files_are_loaded_and_have_no_use_for_trace_options) {
  const TemporaryFolder folder;
  const std::string path = folder.write("f.yaml", flow_file);
  const auto loaded = load_flow(path);
  BOOST_REQUIRE_MESSAGE(loaded.has_value(), why_not(loaded));
  BOOST_TEST((loaded->kind == FileKind::flow_file));
  BOOST_TEST(loaded->flow.nodes.size() == 1U);
  BOOST_TEST(loaded->flow.folder == folder.path().string());
  LoadOptions options;
  options.trace_options_given = true;
  BOOST_TEST(mistakes_of(path, options) ==
             "0:0 RP2006 --mode, --scale and --touch are for recorded traces; this is a flow file");
}

BOOST_AUTO_TEST_CASE(mistakes_of_every_decoder_arrive_with_the_text) {
  const TemporaryFolder folder;
  std::string broken = trace;
  broken.replace(broken.find("[\"a\"]"), 5, "[\"x\"]");
  const auto failure = load_flow(folder.write("t.json", gzip(broken)));
  BOOST_REQUIRE(!failure.has_value());
  BOOST_TEST(failure.error().text == broken);
  BOOST_TEST(listed(failure.error().mistakes) ==
             "2:60 RP2110 task 'a' names 'b' as a child, but 'b' does not name 'a' as a parent\n"
             "3:44 RP2109 task 'b' names 'x' as a parent, but there is no such task");
  BOOST_TEST(
      mistakes_of(folder.write("g.stg", "1\n0 0 0\n")) ==
      "3:1 RP2204 the file is truncated: it announces 1 tasks and two dummies, and has 1 rows");
  BOOST_TEST(mistakes_of(folder.write("cut.gz", gzip(trace).substr(0, 40))).find("RP2002") !=
             std::string::npos);
  BOOST_TEST(mistakes_of(folder.path().string()).starts_with("0:0 RP2001 cannot read"));
}

BOOST_AUTO_TEST_CASE(a_hundred_megabytes_of_brackets_fail_fast_and_small) {
  const TemporaryFolder folder;
  const std::size_t size = std::size_t{100} << 20;
  for (const std::string prefix : {"", "{\"workflow\": ", "{\"tasks\": "}) {
    const std::string path = folder.write("brackets.json", prefix + std::string(size, '['));
    const long before_kib = peak_memory_kib();
    const auto started = std::chrono::steady_clock::now();
    const std::string mistakes = mistakes_of(path);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
    BOOST_TEST(mistakes.find("RP2012 the JSON is nested too deeply: more than 64 lists and objects "
                             "within each other") != std::string::npos);
    BOOST_TEST(took.count() < 2.0);
    BOOST_TEST((peak_memory_kib() - before_kib) < 200 * 1024);  // the file itself and little else
  }
  // Compressed it is a bomb, or small enough to be read and refused as above.
  BOOST_TEST(mistakes_of(folder.write("b.json.gz", gzip(std::string(size, '['))))
                 .find("inflates to more than 100 times") != std::string::npos);
  BOOST_TEST(mistakes_of(folder.write("c.json.gz", gzip(std::string(std::size_t{50} << 20, '['))))
                 .find("RP2012") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_example_trace_is_imported) {
  const char* source = std::getenv("REPRISE_SOURCE_DIR");
  BOOST_REQUIRE(source != nullptr);
  for (const TraceMode mode :
       {TraceMode::hash, TraceMode::sleep, TraceMode::noop, TraceMode::timed}) {
    LoadOptions options;
    options.trace.mode = mode;
    const auto loaded = load_flow(std::string(source) + "/examples/trace.json", options);
    BOOST_REQUIRE_MESSAGE(loaded.has_value(), why_not(loaded));
    BOOST_TEST(loaded->flow.nodes.size() == 12U);
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()

}  // namespace reprise
