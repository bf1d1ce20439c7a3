#include "cluster/authority.hpp"

#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <memory>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "cluster/exchange.hpp"
#include "cluster/openssl_pointer.hpp"
#include "core/assert.hpp"
#include "core/text.hpp"

namespace reprise::cluster {
namespace {

namespace fs = std::filesystem;

constexpr const char* authority_certificate = "authority.crt";
constexpr const char* authority_key = "authority.key";
constexpr const char* secret_file = "link.secret";

using Key = OpensslPointer<EVP_PKEY, EVP_PKEY_free>;
using Bio = OpensslPointer<BIO, BIO_free_all>;
using Extension = OpensslPointer<X509_EXTENSION, X509_EXTENSION_free>;

tl::unexpected<Error> openssl_failed(std::string_view what) {
  const char* reason = ERR_reason_error_string(ERR_get_error());
  ERR_clear_error();
  return fail(ErrorCode::internal, fmt::format("{}: {}", what, reason ? reason : "OpenSSL failed"));
}

// ---- files ----

/// Writes a new file and moves it to `path`; an older one is replaced.
Status write_aside(const fs::path& path, std::string_view content, mode_t mode) {
  const fs::path aside = path.string() + fmt::format(".{}.part", ::getpid());
  const auto failed = [&](std::string_view what) -> Status {
    const int error = errno;
    ::unlink(aside.c_str());
    return tl::unexpected(system_error(fmt::format("{} \"{}\"", what, path.string()), error));
  };
  ::unlink(aside.c_str());  // of a dead process with our number
  const int fd = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0) return failed("write");
  std::string_view rest = content;
  bool fine = ::fchmod(fd, mode) == 0;  // whatever the umask says
  while (fine && !rest.empty()) {
    const ssize_t put = ::write(fd, rest.data(), rest.size());
    if (put > 0) rest.remove_prefix(static_cast<std::size_t>(put));
    if (put < 0 && errno != EINTR) fine = false;
  }
  if (fine) fine = ::fsync(fd) == 0;
  const int error = errno;
  ::close(fd);
  errno = error;
  if (!fine) return failed("write");
  if (::rename(aside.c_str(), path.c_str()) != 0) return failed("write");
  return {};
}

Status make_private_folder(const fs::path& folder) {
  std::error_code error;
  if (folder.has_parent_path()) fs::create_directories(folder.parent_path(), error);
  if (error || (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST))
    return tl::unexpected(
        system_error(fmt::format("make \"{}\"", folder.string()), error ? error.value() : errno));
  return {};
}

Result<std::string> read_whole(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return tl::unexpected(open_error(path, errno));
  if (info.st_size > 65536)
    return fail(ErrorCode::invalid_argument, fmt::format("\"{}\" is too long", path.string()));
  std::ifstream in(path, std::ios::binary);
  std::string content{std::istreambuf_iterator<char>(in), {}};
  if (in.bad() || !in.is_open())
    return tl::unexpected(system_error(fmt::format("read \"{}\"", path.string()), errno));
  return content;
}

// ---- certificates ----

std::string pem_of(const X509* certificate) {
  const Bio out{BIO_new(BIO_s_mem())};
  REPRISE_ASSERT(PEM_write_bio_X509(out.get(), certificate) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string pem_of(const EVP_PKEY* key) {
  const Bio out{BIO_new(BIO_s_mem())};
  REPRISE_ASSERT(
      PEM_write_bio_PKCS8PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

/// What a certificate to be made says.
struct Draft {
  std::string common_name;
  std::string organization;
  std::string alternative_name;  // empty: an authority
  Time from;
  Time until;
};

bool add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension{X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str())};
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

std::time_t whole_seconds(Time time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

bool fill(X509* certificate, X509* issuer, EVP_PKEY* key, const Draft& draft) {
  const bool is_authority = draft.alternative_name.empty();
  unsigned char serial[16];
  if (RAND_bytes(serial, sizeof serial) != 1) return false;
  serial[0] &= 0x7f;  // positive
  serial[0] |= 0x40;  // and of full length
  BIGNUM* number = BN_bin2bn(serial, sizeof serial, nullptr);
  const bool numbered =
      number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  const auto text = [](const std::string& s) {
    return reinterpret_cast<const unsigned char*>(s.c_str());
  };
  X509_NAME* subject = X509_get_subject_name(certificate);
  return numbered && X509_set_version(certificate, X509_VERSION_3) == 1 &&
         X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8, text(draft.organization), -1, -1,
                                    0) == 1 &&
         X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, text(draft.common_name), -1, -1,
                                    0) == 1 &&
         X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
         ASN1_TIME_set(X509_getm_notBefore(certificate), whole_seconds(draft.from)) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), whole_seconds(draft.until)) != nullptr &&
         X509_set_pubkey(certificate, key) == 1 &&
         add_extension(certificate, issuer, NID_basic_constraints,
                       is_authority ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE") &&
         add_extension(
             certificate, issuer, NID_key_usage,
             is_authority ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature") &&
         add_extension(certificate, issuer, NID_subject_key_identifier, "hash") &&
         add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always") &&
         (is_authority ||
          (add_extension(certificate, issuer, NID_ext_key_usage, "serverAuth,clientAuth") &&
           add_extension(certificate, issuer, NID_subject_alt_name, draft.alternative_name)));
}

struct Made {
  Certificate certificate;
  Key key;
};

/// @param issuer  nullptr: the certificate signs itself
Result<Made> make_certificate(const Draft& draft, const Made* issuer) {
  ERR_clear_error();
  Made made{Certificate{X509_new()}, Key{EVP_EC_gen("P-256")}};
  if (!made.certificate || !made.key) return openssl_failed("make a key");
  X509* issuing = issuer ? issuer->certificate.get() : made.certificate.get();
  EVP_PKEY* signing = issuer ? issuer->key.get() : made.key.get();
  if (!fill(made.certificate.get(), issuing, made.key.get(), draft) ||
      X509_sign(made.certificate.get(), signing, EVP_sha256()) == 0)
    return openssl_failed("make a certificate");
  return made;
}

Result<Made> load_authority(const fs::path& folder) {
  const auto certificate = read_whole(folder / authority_certificate);
  if (!certificate) {
    if (certificate.error().code == ErrorCode::not_found)
      return fail(ErrorCode::not_found,
                  fmt::format("there is no authority in \"{}\"; make one with "
                              "reprise cluster init",
                              folder.string()));
    return tl::unexpected(certificate.error());
  }
  const auto key = read_whole(folder / authority_key);
  if (!key) return tl::unexpected(key.error());
  const Bio certificate_in{
      BIO_new_mem_buf(certificate->data(), static_cast<int>(certificate->size()))};
  const Bio key_in{BIO_new_mem_buf(key->data(), static_cast<int>(key->size()))};
  Made made{Certificate{PEM_read_bio_X509(certificate_in.get(), nullptr, nullptr, nullptr)},
            Key{PEM_read_bio_PrivateKey(key_in.get(), nullptr, nullptr, nullptr)}};
  ERR_clear_error();
  if (!made.certificate || !made.key ||
      X509_check_private_key(made.certificate.get(), made.key.get()) != 1) {
    ERR_clear_error();
    return fail(
        ErrorCode::corrupt,
        fmt::format("the authority's files in \"{}\" do not belong together", folder.string()));
  }
  return made;
}

Time end_of(const X509* certificate) {
  std::tm parts{};
  REPRISE_ASSERT(ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &parts) == 1);
  return Time(std::chrono::seconds(::timegm(&parts)));
}

Status check_name(std::string_view name) {
  if (is_node_name(name)) return {};
  return fail(ErrorCode::invalid_argument,
              fmt::format("\"{}\" is no name of a node; use 1 to 64 of letters, digits, \".\", "
                          "\"_\" and \"-\"",
                          escape_for_terminal(name)));
}

// Clocks of nodes differ a little: a certificate is good from an hour before it was made.
constexpr Duration clock_difference = std::chrono::hours{1};

}  // namespace

Status make_authority(const AuthorityOptions& options, Time now) {
  if (auto fine = check_name(options.cluster); !fine) return fine;
  if (auto made = make_private_folder(options.folder); !made) return made;
  std::error_code ignored;
  if (fs::exists(options.folder / authority_certificate, ignored) ||
      fs::exists(options.folder / authority_key, ignored))
    return fail(ErrorCode::conflict,
                fmt::format("there is an authority in \"{}\" already", options.folder.string()));
  Draft draft;
  draft.common_name = options.cluster + " authority";
  draft.organization = options.cluster;
  draft.from = now - clock_difference;
  draft.until = now + options.valid;
  const auto made = make_certificate(draft, nullptr);
  if (!made) return tl::unexpected(made.error());
  // The certificate comes last: without it there is no authority, and the command can be repeated.
  const std::pair<const char*, std::string> secret_files[] = {
      {authority_key, pem_of(made->key.get())}, {secret_file, generate_secret() + "\n"}};
  for (const auto& [file, content] : secret_files)
    if (auto written = write_aside(options.folder / file, content, 0600); !written) return written;
  return write_aside(options.folder / authority_certificate, pem_of(made->certificate.get()), 0644);
}

Result<fs::path> add_node(const NodeOptions& options, Time now) {
  if (auto fine = check_name(options.name); !fine) return tl::unexpected(fine.error());
  const auto authority = load_authority(options.folder);
  if (!authority) return tl::unexpected(authority.error());
  const fs::path nodes = options.folder / "nodes";
  const fs::path bundle = nodes / options.name;
  const auto exists = [&] {
    return fail(ErrorCode::conflict,
                fmt::format("there is a bundle \"{}\" already; remove it to make a new one",
                            bundle.string()));
  };
  std::error_code ignored;
  if (fs::exists(bundle, ignored)) return exists();
  Draft draft;
  draft.common_name = options.name;
  draft.organization = std::string(name(options.role));
  draft.alternative_name = fmt::format("URI:reprise:{}:{}", name(options.role), options.name);
  draft.from = now - clock_difference;
  draft.until = std::min(now + options.valid, end_of(authority->certificate.get()));
  const auto made = make_certificate(draft, &*authority);
  if (!made) return tl::unexpected(made.error());

  if (auto folder = make_private_folder(nodes); !folder) return tl::unexpected(folder.error());
  std::string aside = (nodes / ".new-XXXXXX").string();  // no node's name begins with a dot
  if (::mkdtemp(aside.data()) == nullptr)
    return tl::unexpected(system_error(fmt::format("make \"{}\"", bundle.string()), errno));
  const auto give_up = [&](const Error& error) {
    fs::remove_all(aside, ignored);
    return tl::unexpected(error);
  };
  const TlsFiles files = bundle_files(aside);
  for (const auto& written :
       {write_aside(files.authority, pem_of(authority->certificate.get()), 0644),
        write_aside(files.certificate, pem_of(made->certificate.get()), 0644),
        write_aside(files.key, pem_of(made->key.get()), 0600)})
    if (!written) return give_up(written.error());
  // A folder is not moved over another one that holds something.
  if (::rename(aside.c_str(), bundle.c_str()) != 0) {
    const int error = errno;
    fs::remove_all(aside, ignored);
    if (error == EEXIST || error == ENOTEMPTY) return exists();
    return tl::unexpected(system_error(fmt::format("make \"{}\"", bundle.string()), error));
  }
  return bundle;
}

TlsFiles bundle_files(const fs::path& bundle) {
  return {bundle / authority_certificate, bundle / "node.crt", bundle / "node.key"};
}

std::string generate_secret() {
  std::array<unsigned char, 32> bytes{};
  REPRISE_ASSERT(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1);
  return to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

Result<std::string> load_secret(const fs::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) return tl::unexpected(open_error(file, errno));
  if ((info.st_mode & 077) != 0)
    return fail(ErrorCode::denied,
                fmt::format("others may read the secret \"{}\"; run chmod 600 on "
                            "it",
                            file.string()));
  auto content = read_whole(file);
  if (!content) return content;
  content->erase(content->find_last_not_of(" \t\r\n") + 1);
  if (content->size() < min_secret_bytes)
    return fail(ErrorCode::invalid_argument,
                fmt::format("the secret in \"{}\" has {} bytes; {} are needed", file.string(),
                            content->size(), min_secret_bytes));
  return content;
}

}  // namespace reprise::cluster
