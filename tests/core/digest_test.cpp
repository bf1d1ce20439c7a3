#include "core/digest.hpp"

#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(digest)

using namespace reprise;

BOOST_AUTO_TEST_CASE(published_vectors_hold) {  // FIPS 180-4
  BOOST_TEST(sha256("").hex() ==
             "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  BOOST_TEST(sha256("abc").hex() ==
             "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  BOOST_TEST(sha256(std::string(1'000'000, 'a')).hex() ==
             "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

BOOST_AUTO_TEST_CASE(a_domain_is_a_prefix) {
  using namespace std::string_literals;
  for (std::size_t size : {0u, 1u, 200u, 245u, 246u, 247u, 248u, 249u, 250u, 1000u, 100'000u}) {
    std::string data(size, 'x');
    BOOST_TEST(digest_in("arg", data).hex() == sha256("rp1.arg\0"s + data).hex());
  }
  std::string domain(300, 'd');
  BOOST_TEST(digest_in(domain, "x").hex() == sha256("rp1." + domain + "\0x"s).hex());
}

BOOST_AUTO_TEST_CASE(streaming_equals_one_shot_and_starts_anew) {
  Sha256 hash;
  hash.update("a").update("").update("bc");
  BOOST_TEST(hash.finish().hex() == sha256("abc").hex());
  BOOST_TEST(hash.finish().hex() == sha256("").hex());
  hash.update("abc");
  BOOST_TEST(hash.finish().hex() == sha256("abc").hex());
}

BOOST_AUTO_TEST_CASE(one_shot_calls_do_not_disturb_streams) {
  Sha256 hash;
  hash.update("a");
  (void)sha256("other");
  hash.update("bc");
  BOOST_TEST(hash.finish().hex() == sha256("abc").hex());
}

BOOST_AUTO_TEST_CASE(threads_do_not_disturb_each_other) {
  std::string expected = sha256("abc").hex();
  std::vector<int> wrong(4);
  std::vector<std::thread> threads;
  for (int& count : wrong)
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) count += sha256("abc").hex() != expected;
    });
  for (auto& thread : threads) thread.join();
  for (int count : wrong) BOOST_TEST(count == 0);
}

BOOST_AUTO_TEST_CASE(text_forms_are_read_back) {
  Digest abc = sha256("abc");
  BOOST_TEST(abc.text() == "sha256:" + abc.hex());
  BOOST_TEST((Digest::parse(abc.text()).value() == abc));
  BOOST_TEST((Digest::parse(abc.hex()).value() == abc));
  BOOST_TEST((Digest::from_raw(abc.raw()).value() == abc));
  std::string upper = abc.hex();
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  BOOST_TEST((Digest::parse(upper).value() == abc));
}

BOOST_AUTO_TEST_CASE(other_text_is_refused) {
  std::string hex = sha256("abc").hex();
  for (std::string text :
       {std::string(), std::string("sha256:"), hex.substr(1), hex + "0", "md5:" + hex,
        hex.substr(1) + "g", "sha256:sha256:" + hex, hex.substr(1) + "\x1b"}) {
    auto refused = Digest::parse(text);
    BOOST_REQUIRE(!refused);
    BOOST_TEST((refused.error().code == ErrorCode::invalid_argument));
    BOOST_TEST(refused.error().message.find('\x1b') == std::string::npos);
  }
  BOOST_TEST(!Digest::from_raw("short"));
}

BOOST_AUTO_TEST_CASE(none_is_all_zero) {
  BOOST_TEST(Digest{}.is_none());
  BOOST_TEST(!sha256("").is_none());
}

BOOST_AUTO_TEST_SUITE_END()
