#include <boost/test/unit_test.hpp>

#include <sys/stat.h>

#include "cluster/authority.hpp"
#include "tests/support/temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(authorities)

using namespace reprise;
using namespace reprise::cluster;
using namespace std::chrono_literals;
using reprise::testing::TemporaryFolder;

namespace {

mode_t mode_of(const std::filesystem::path& path) {
  struct stat info {};
  BOOST_REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 0777;
}

NodeOptions worker(const std::filesystem::path& folder, std::string name) {
  NodeOptions options;
  options.folder = folder;
  options.name = std::move(name);
  return options;
}

std::shared_ptr<const TlsContext> load(const std::filesystem::path& bundle) {
  auto context = TlsContext::load(bundle_files(bundle));
  BOOST_REQUIRE_MESSAGE(context.has_value(), (context ? "" : context.error().message));
  return *context;
}

// Moves bytes between the two until neither has any.
Status talk(TlsStream& a, TlsStream& b, std::string& at_a, std::string& at_b) {
  while (a.has_output() || b.has_output()) {
    std::string bytes;
    a.take_output(bytes);
    if (auto done = b.receive(bytes, at_b); !done) return done;
    bytes.clear();
    b.take_output(bytes);
    if (auto done = a.receive(bytes, at_a); !done) return done;
  }
  return {};
}

}  // namespace

BOOST_AUTO_TEST_CASE(keys_and_secrets_are_for_their_owner_alone) {
  const TemporaryFolder folder;
  const auto place = folder / "a";
  BOOST_REQUIRE(make_authority({place, "lab"}, now()).has_value());
  const auto bundle = add_node(worker(place, "w1"), now());
  BOOST_REQUIRE(bundle.has_value());
  BOOST_TEST(mode_of(place) == 0700u);
  BOOST_TEST(mode_of(place / "authority.key") == 0600u);
  BOOST_TEST(mode_of(place / "link.secret") == 0600u);
  BOOST_TEST(mode_of(*bundle) == 0700u);
  BOOST_TEST(mode_of(*bundle / "node.key") == 0600u);
  BOOST_TEST(load_secret(place / "link.secret").value().size() == 64u);
}

BOOST_AUTO_TEST_CASE(a_bundle_names_its_node_and_role) {
  const TemporaryFolder folder;
  BOOST_REQUIRE(make_authority({folder.path(), "lab"}, now()).has_value());
  for (const Role role : {Role::worker, Role::client, Role::scheduler}) {
    NodeOptions options = worker(folder.path(), "n-" + std::string(name(role)));
    options.role = role;
    const auto bundle = add_node(options, now());
    BOOST_REQUIRE(bundle.has_value());
    BOOST_TEST((load(*bundle)->self() == CertifiedPeer{role, options.name}));
  }
}

BOOST_AUTO_TEST_CASE(nothing_that_exists_is_overwritten) {
  const TemporaryFolder folder;
  BOOST_REQUIRE(make_authority({folder.path(), "lab"}, now()).has_value());
  const std::string before = reprise::testing::read_file(folder / "authority.key");
  BOOST_TEST((make_authority({folder.path(), "lab"}, now()).error().code == ErrorCode::conflict));
  BOOST_TEST((reprise::testing::read_file(folder / "authority.key") == before));
  const auto bundle = add_node(worker(folder.path(), "w"), now());
  BOOST_REQUIRE(bundle.has_value());
  const std::string key = reprise::testing::read_file(*bundle / "node.key");
  BOOST_TEST((add_node(worker(folder.path(), "w"), now()).error().code == ErrorCode::conflict));
  BOOST_TEST((reprise::testing::read_file(*bundle / "node.key") == key));
}

BOOST_AUTO_TEST_CASE(odd_names_make_no_files) {
  const TemporaryFolder folder;
  BOOST_REQUIRE(make_authority({folder.path(), "lab"}, now()).has_value());
  for (const std::string name : {"", "../w", "a/b", ".w", "-w", "w\n", "w w", "\xc3\xa4"})
    BOOST_TEST(
        (add_node(worker(folder.path(), name), now()).error().code == ErrorCode::invalid_argument));
  BOOST_TEST((add_node(worker(folder.path(), std::string(65, 'w')), now()).error().code ==
              ErrorCode::invalid_argument));
  BOOST_TEST(!std::filesystem::exists(folder / "nodes"));
  BOOST_TEST((add_node(worker(folder / "none", "w"), now()).error().code == ErrorCode::not_found));
}

BOOST_AUTO_TEST_CASE(files_that_others_may_read_or_that_are_none_are_refused) {
  const TemporaryFolder folder;
  BOOST_REQUIRE(make_authority({folder.path(), "lab"}, now()).has_value());
  const auto bundle = add_node(worker(folder.path(), "w"), now()).value();
  const auto other = add_node(worker(folder.path(), "v"), now()).value();
  TlsFiles files = bundle_files(bundle);
  std::filesystem::permissions(files.key, std::filesystem::perms(0640));
  BOOST_TEST((TlsContext::load(files).error().code == ErrorCode::denied));
  std::filesystem::permissions(files.key, std::filesystem::perms(0600));
  files.key = bundle_files(other).key;
  BOOST_TEST((TlsContext::load(files).error().code == ErrorCode::invalid_argument));
  files.key = bundle / "none";
  BOOST_TEST((TlsContext::load(files).error().code == ErrorCode::not_found));
  files = bundle_files(bundle);
  reprise::testing::write_file(files.certificate, "no certificate");
  BOOST_TEST((TlsContext::load(files).error().code == ErrorCode::invalid_argument));
  std::filesystem::permissions(folder / "link.secret", std::filesystem::perms(0644));
  BOOST_TEST((load_secret(folder / "link.secret").error().code == ErrorCode::denied));
}

BOOST_AUTO_TEST_CASE(the_authoritys_own_certificate_is_no_node) {
  const TemporaryFolder folder;
  BOOST_REQUIRE(make_authority({folder.path(), "lab"}, now()).has_value());
  const TlsFiles files{folder / "authority.crt", folder / "authority.crt",
                       folder / "authority.key"};
  BOOST_TEST((TlsContext::load(files).error().code == ErrorCode::invalid_argument));
}

BOOST_AUTO_TEST_CASE(two_streams_agree_on_who_they_are_and_on_a_binding) {
  const TemporaryFolder folder;
  BOOST_REQUIRE(make_authority({folder.path(), "lab"}, now()).has_value());
  TlsStream a(load(add_node(worker(folder.path(), "a"), now()).value()),
              TlsStream::Side::connecting);
  TlsStream b(load(add_node(worker(folder.path(), "b"), now()).value()),
              TlsStream::Side::accepting);
  std::string at_a, at_b;
  BOOST_REQUIRE(talk(a, b, at_a, at_b).has_value());
  BOOST_REQUIRE(a.is_ready());
  BOOST_REQUIRE(b.is_ready());
  BOOST_TEST(a.peer().name == "b");
  BOOST_TEST(b.peer().name == "a");
  BOOST_TEST((a.binding() == b.binding()));
  const std::string text(100'000, 'x');
  BOOST_REQUIRE(a.send(text).has_value());
  BOOST_REQUIRE(talk(a, b, at_a, at_b).has_value());
  BOOST_TEST((at_b == text));
}

BOOST_AUTO_TEST_CASE(an_expired_certificate_is_refused) {
  const TemporaryFolder folder;
  BOOST_REQUIRE(make_authority({folder.path(), "lab"}, now() - 48h).has_value());
  NodeOptions options = worker(folder.path(), "old");
  options.valid = 1h;
  TlsStream old(load(add_node(options, now() - 24h).value()), TlsStream::Side::connecting);
  TlsStream b(load(add_node(worker(folder.path(), "b"), now()).value()),
              TlsStream::Side::accepting);
  std::string at_old, at_b;
  const auto talked = talk(old, b, at_old, at_b);
  BOOST_REQUIRE(!talked);
  BOOST_TEST((talked.error().code == ErrorCode::denied));
  BOOST_TEST(talked.error().message ==
             "the peer's certificate is not accepted: certificate has expired");
  BOOST_TEST(!b.is_ready());
}

BOOST_AUTO_TEST_SUITE_END()
