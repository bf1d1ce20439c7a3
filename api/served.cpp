#include "api/served.hpp"

#include <utility>

#include <fmt/format.h>

#include "api/body.hpp"
#include "api/convert.hpp"
#include "worker/function_server.hpp"

namespace reprise::detail {

Result<std::shared_ptr<worker::FunctionTable>> table_of(std::vector<served_task> tasks) {
  auto table = std::make_shared<worker::FunctionTable>();
  worker::add_builtins(*table);
  for (served_task& task : tasks) {
    worker::Function function;
    function.name = std::move(task.record.name);
    function.version = std::move(task.record.version);
    for (std::size_t i = 0; i < task.record.inputs.size(); ++i)
      function.signature.inputs.emplace_back(
          i < task.names.size() ? task.names[i] : fmt::format("a{}", i), task.record.inputs[i]);
    for (const std::string& type : task.record.outputs)
      function.signature.outputs.emplace_back("result", type);
    function.body = to_worker_body(std::move(task.record.body));
    if (Status added = table->add(std::move(function)); !added)
      return tl::unexpected(added.error());
  }
  return table;
}

void init(int argc, char** argv, std::vector<served_task> tasks) {
  auto table = table_of(std::move(tasks));
  if (!table) throw usage_error(to_public(table.error()));
  worker::serve_functions_if_asked(argc, argv, [&](std::span<char*>) { return table; });
}

}  // namespace reprise::detail
