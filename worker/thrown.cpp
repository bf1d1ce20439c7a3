#include "worker/thrown.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <string_view>
#include <typeinfo>

#include "core/text.hpp"

namespace reprise::worker {

namespace {

constexpr std::size_t message_columns = 400;

std::string type_name(const std::exception& error) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(typeid(error).name(), nullptr, nullptr, &status), &std::free);
  return status == 0 ? name.get() : typeid(error).name();
}

}  // namespace

Thrown describe(const std::exception& error) {
  const std::string_view text = error.what();
  return {type_name(error),
          shorten(escape_for_terminal(text.substr(0, text.find('\n'))), message_columns)};
}

}  // namespace reprise::worker
