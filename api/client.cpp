#include "reprise/client.hpp"

#include "api/convert.hpp"
#include "api/remote_run.hpp"
#include "core/configuration.hpp"

namespace reprise {

client::client(const client_options& options) {
  auto opened = detail::client_state::open(options);
  if (!opened) throw usage_error(detail::to_public(opened.error()));
  state_ = *std::move(opened);
}

expected<client> client::open(const client_options& options) {
  auto opened = detail::client_state::open(options);
  if (!opened) return tl::unexpected(detail::to_public(opened.error()));
  return client(*std::move(opened));
}

expected<run> client::try_submit(const flow& flow, const submit_options& options) const {
  auto submitted = detail::client_state::submit(state_, flow.state(), options);
  if (!submitted) return tl::unexpected(detail::to_public(submitted.error()));
  return reprise::run(*std::move(submitted));
}

run client::submit(const flow& flow, const submit_options& options) const {
  expected<reprise::run> submitted = try_submit(flow, options);
  if (!submitted) throw usage_error(std::move(submitted.error()));
  return *std::move(submitted);
}

expected<run> client::try_attach(const flow& flow, const std::string& id) const {
  auto attached = detail::client_state::attach(state_, flow.state(), id);
  if (!attached) return tl::unexpected(detail::to_public(attached.error()));
  return reprise::run(*std::move(attached));
}

run client::attach(const flow& flow, const std::string& id) const {
  expected<reprise::run> attached = try_attach(flow, id);
  if (!attached) throw usage_error(std::move(attached.error()));
  return *std::move(attached);
}

client_options config::load() {
  const auto settings = detail::load_client_options();
  if (!settings) throw usage_error(detail::to_public(settings.error()));
  return *settings;
}

}  // namespace reprise
