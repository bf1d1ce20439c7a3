#include "worker/shell_tokens.hpp"

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(tokens_of_shell_scripts)

using namespace reprise::worker;

namespace {

bool same(std::string_view a, std::string_view b) {
  return shell_tokens(a) == shell_tokens(b);
}

}  // namespace

BOOST_AUTO_TEST_CASE(comments_blanks_and_empty_lines_do_not_count) {
  const std::string_view plain = "sort in.txt | uniq -c > out\necho done\n";
  BOOST_TEST(same(plain, "# counts\n\n  sort   in.txt\t| uniq -c  > out   # all\n\n\necho done"));
  BOOST_TEST(same("for f in *; do\necho $f\ndone", "for f in *; do\n\n    echo $f\n  done\n"));
  BOOST_TEST(
      same("echo \"$(date +%s) $((1 + 2)) ${x}\"", "echo \"$(date +%s) $((1 + 2)) ${x}\" # t"));
}

BOOST_AUTO_TEST_CASE(expressions_of_flow_files_are_parts_of_words) {
  BOOST_TEST(same("cat ${{ a.outputs['x'] }} \"${{ b['  '] }}\"\nid",
                  "cat   ${{ a.outputs['x'] }} \"${{ b['  '] }}\"  # c\nid"));
  BOOST_TEST(!same("cat ${{ a['x'] }}", "cat ${{ a['y'] }}"));
  BOOST_TEST(shell_tokens("cat ${{ a['x'] }} b").rest.empty());
}

BOOST_AUTO_TEST_CASE(every_other_change_counts) {
  const std::pair<std::string_view, std::string_view> pairs[] = {
      {"echo a", "echo b"},
      {"echo 'a  b'", "echo 'a b'"},
      {"echo \"a  b\"", "echo \"a b\""},
      {"echo a\\ \\ b", "echo a\\ b"},
      {"echo a#b", "echo a"},
      {"echo '#a'", "echo ''"},
      {"echo \"#a\"", "echo \"\""},
      {"echo \\#a", "echo"},
      {"echo $# x", "echo"},
      {"echo ${#x} y", "echo"},
      {"echo ${x #y}", "echo ${x"},
      {"echo 2>f", "echo 2 >f"},
      {"echo a;b", "echo a; ;b"},
      {"a && b", "a & & b"},
      {"a=(x)", "a= (x)"},
      {"echo a\necho b", "echo a echo b"},
      {"echo `echo  a`", "echo `echo a`"},
      {"echo \"$(echo \"a  b\")\"", "echo \"$(echo \"a b\")\""},
      {"echo \"$(case x in x) echo \"a  b\";; esac)\"",
       "echo \"$(case x in x) echo \"a b\";; esac)\""},
      {"cat <<E\na  # b\nE", "cat <<E\na\nE"},
      {"cat <<E\na\n\nb\nE", "cat <<E\na\nb\nE"},
      {"echo $'a\\'  b'", "echo $'a\\' b'"},
      {"echo $LINENO", "# one line more\necho $LINENO"},
      {"#!/bin/sh\nid", "#!/bin/bash\nid"},
  };
  for (const auto& [a, b] : pairs) BOOST_TEST(!same(a, b), a << " / " << b);
}

BOOST_AUTO_TEST_CASE(what_is_not_understood_counts_byte_by_byte_from_there) {
  const ShellTokens tokens = shell_tokens("a  b # c\ncat <<E\n  x # y\nE\n");
  BOOST_TEST((tokens.words == std::vector<std::string>{"a", "b", "\n", "cat"}));
  BOOST_TEST(tokens.rest == "<<E\n  x # y\nE\n");
  BOOST_TEST(shell_tokens("echo 'never closed # x").rest == "'never closed # x");
}

BOOST_AUTO_TEST_CASE(shells_are_told_by_their_names) {
  for (const char* script :
       {"#!/bin/sh\n", "#! /usr/bin/env bash\n", "#!/bin/dash -e", "#!/bin/bash"})
    BOOST_TEST(is_shell_script(script), script);
  for (const char* other : {"", "echo", "#!/usr/bin/env python3\n", "#!/usr/bin/fish\n", "#!\nsh"})
    BOOST_TEST(!is_shell_script(other), other);
}

BOOST_AUTO_TEST_SUITE_END()
