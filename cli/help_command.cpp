// `reprise help CODE`: what an error code means and what to do about it.
#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cli/text.hpp"
#include "flow/error_pages.hpp"

namespace reprise::cli {

int error_page_command(const std::string& code, Console& console) {
  const ErrorPage* page = find_error_page(code);
  if (!page) {
    std::vector<std::string> codes;
    for (const ErrorPage& known : error_pages()) codes.emplace_back(known.code);
    return console.fail(
        {ErrorCode::not_found, fmt::format("there is no error code \"{}\"{}",
                                           escape_for_terminal(code), did_you_mean(code, codes))});
  }
  if (console.is_json())
    return console.document({{"schema", "reprise.error-page/1"},
                             {"code", page->code},
                             {"title", page->title},
                             {"text", page->text}});
  console.out(fmt::format("{}  {}\n\n{}", console.out_style()(Ink::bold, page->code), page->title,
                          page->text));
  return exit_ok;
}

}  // namespace reprise::cli
