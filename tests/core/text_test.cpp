#include "core/text.hpp"

#include <vector>

#include <rapidcheck/boost_test.h>
#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(text)

using namespace reprise;

BOOST_AUTO_TEST_CASE(what_could_fool_a_terminal_is_escaped) {
  BOOST_TEST(escape_for_terminal("\x1b[31mred\x1b]0;title\x07") ==
             "\\x1b[31mred\\x1b]0;title\\x07");
  BOOST_TEST(escape_for_terminal("a\r\nb\tc") == "a\\x0d\\nb\\tc");
  BOOST_TEST(escape_for_terminal(std::string_view("\0\x7f", 2)) == "\\x00\\x7f");
  BOOST_TEST(escape_for_terminal("\u202Eevil\u202C \u2066x\u2069") ==
             "\\u202eevil\\u202c \\u2066x\\u2069");
  BOOST_TEST(escape_for_terminal("a\u200Bb\u2028c\uFEFF") == "a\\u200bb\\u2028c\\ufeff");
  BOOST_TEST(escape_for_terminal("\u009b31m") == "\\u009b31m");  // the one-character form of ESC [
  BOOST_TEST(escape_for_terminal("\xff\xc3") == "\\xff\\xc3");
  BOOST_TEST(escape_for_terminal("\xed\xa0\x80") == "\\xed\\xa0\\x80");
  BOOST_TEST(escape_for_terminal("\U000E0041") == "\\U000e0041");
}

BOOST_AUTO_TEST_CASE(printable_text_is_kept) {
  for (const char* text : {"", "align[s3]", "é 語 🙂", "a\\b \"c\" %s {}", "👩\u200d💻"})
    BOOST_TEST(escape_for_terminal(text) == text);
}

RC_BOOST_PROP(escaped_text_is_printable_and_stays_so, (const std::string& bytes)) {
  std::string safe = escape_for_terminal(bytes);
  RC_ASSERT(is_utf8(safe));
  for (char c : safe) RC_ASSERT(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  RC_ASSERT(escape_for_terminal(safe) == safe);
}

BOOST_AUTO_TEST_CASE(well_formed_utf8_is_told_from_other_bytes) {
  for (const char* text : {"", "plain ascii text", "é", "\xed\x9f\xbf", "\xee\x80\x80",
                           "\xf4\x8f\xbf\xbf", "\xf0\x90\x80\x80"})
    BOOST_TEST(is_utf8(text));
  for (const char* text :
       {"\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf5\x80\x80\x80", "\xe2\x82",
        "\xc3(", "12345678\xff", "1234567\xe2\x82"})
    BOOST_TEST(!is_utf8(text));
}

BOOST_AUTO_TEST_CASE(width_counts_columns) {
  BOOST_TEST(display_width("") == 0u);
  BOOST_TEST(display_width("align") == 5u);
  BOOST_TEST(display_width("é") == 1u);
  BOOST_TEST(display_width("e\u0301") == 1u);
  BOOST_TEST(display_width("語") == 2u);
  BOOST_TEST(display_width("✓…→") == 3u);
  BOOST_TEST(display_width("🙂") == 2u);
}

BOOST_AUTO_TEST_CASE(shortened_text_fits) {
  BOOST_TEST(shorten("align", 5) == "align");
  BOOST_TEST(shorten("align", 4) == "ali…");
  BOOST_TEST(shorten("語語語", 4) == "語…");
  BOOST_TEST(shorten("語語語", 6) == "語語語");
  BOOST_TEST(shorten("abc", 1) == "…");
  BOOST_TEST(shorten("abc", 0).empty());
}

BOOST_AUTO_TEST_CASE(suggestions_are_near) {
  std::vector<std::string> names = {"align", "sort", "quality", "q", "index"};
  BOOST_TEST(suggest("algin", names).value() == "align");
  BOOST_TEST(suggest("Align", names).value() == "align");
  BOOST_TEST(suggest("qualty", names).value() == "quality");
  BOOST_TEST(suggest("sorted", names).value() == "sort");
  BOOST_TEST(!suggest("banana", names));
  BOOST_TEST(!suggest("x", names));
  BOOST_TEST(!suggest("", names));
  BOOST_TEST(!suggest("align", std::vector<std::string>{}));
  BOOST_TEST(suggest("sorx", std::vector<std::string>{"sory", "sort"}).value() ==
             "sory");  // the earlier one
  BOOST_TEST(did_you_mean("algin", names) == "; did you mean \"align\"?");
  BOOST_TEST(did_you_mean("banana", names).empty());
}

BOOST_AUTO_TEST_CASE(sizes_are_described) {
  BOOST_TEST(describe_bytes(0) == "0 B");
  BOOST_TEST(describe_bytes(1023) == "1023 B");
  BOOST_TEST(describe_bytes(1024) == "1.0 KiB");
  BOOST_TEST(describe_bytes(1024 * 1024 - 1) == "1.0 MiB");
  BOOST_TEST(describe_bytes(14388140441) == "13.4 GiB");
  BOOST_TEST(describe_bytes(UINT64_MAX) == "16.0 EiB");
}

BOOST_AUTO_TEST_CASE(sizes_are_parsed) {
  BOOST_TEST(parse_bytes("0").value() == 0u);
  BOOST_TEST(parse_bytes("512").value() == 512u);
  BOOST_TEST(parse_bytes("512B").value() == 512u);
  BOOST_TEST(parse_bytes("4GiB").value() == 4ull << 30);
  BOOST_TEST(parse_bytes("4 gib").value() == 4ull << 30);
  BOOST_TEST(parse_bytes("4G").value() == 4ull << 30);
  BOOST_TEST(parse_bytes("4GB").value() == 4'000'000'000ull);
  BOOST_TEST(parse_bytes("1.5MiB").value() == 3ull << 19);
  BOOST_TEST(parse_bytes("9007199254740993").value() == 9007199254740993ull);
  BOOST_TEST(parse_bytes("18446744073709551615").value() == UINT64_MAX);
  for (const char* text : {"", "GiB", "-1", "-0", "1.5", "4XiB", "4GiBs", "nan", "inf", "1e400",
                           "99999PiB", "4 G B", "18446744073709551616", "0x10"})
    BOOST_TEST(
        (!parse_bytes(text) && parse_bytes(text).error().code == ErrorCode::invalid_argument),
        text);
}

RC_BOOST_PROP(hex_is_read_back, (const std::string& bytes)) {
  std::string hex = to_hex(bytes);
  std::string back(bytes.size(), '\0');
  RC_ASSERT(from_hex(hex, reinterpret_cast<std::uint8_t*>(back.data())));
  RC_ASSERT(back == bytes);
}

BOOST_AUTO_TEST_SUITE_END()
