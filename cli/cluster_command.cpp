// `reprise cluster init` and `reprise cluster add-node`.
#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cluster/authority.hpp"
#include "core/text.hpp"

namespace reprise::cli {

int cluster_init_command(const ClusterOptions& options, Console& console) {
  const Status made = cluster::make_authority({.folder = options.folder}, now());
  if (!made) return console.fail(made.error());
  const std::string shown = escape_for_terminal(options.folder);
  if (console.is_json())
    return console.document({{"schema", "reprise.cluster-init/1"}, {"folder", options.folder}});
  console.say(fmt::format(
      "made the authority in \"{}\"; its key, authority.key, stays off the nodes", shown));
  console.say(fmt::format("next: reprise cluster add-node NAME --role scheduler --dir {}", shown));
  return exit_ok;
}

int cluster_add_node_command(const ClusterOptions& options, Console& console) {
  cluster::NodeOptions node;
  node.folder = options.folder.empty() ? "." : options.folder;
  node.name = options.name;
  node.role = *cluster::parse_role(options.role);  // one of the words of --role
  const auto bundle = cluster::add_node(node, now());
  if (!bundle) return console.fail(bundle.error());
  if (console.is_json())
    return console.document({{"schema", "reprise.cluster-node/1"},
                             {"name", options.name},
                             {"role", options.role},
                             {"bundle", bundle->string()}});
  console.out(escape_for_terminal(bundle->string()));
  console.say("copy this folder to the node and name it there with --certs");
  return exit_ok;
}

}  // namespace reprise::cli
