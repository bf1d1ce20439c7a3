#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <fstream>

#include "cluster/blob_transfer.hpp"

BOOST_AUTO_TEST_SUITE(blob_transfer_tests)

using namespace reprise;
using namespace reprise::cluster;

namespace {

struct Node {
  std::filesystem::path folder;
  std::shared_ptr<cache::BlobStore> blobs;
  Node() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "reprise-blobs-XXXXXX").string();
    folder = mkdtemp(pattern.data());
    blobs = *cache::BlobStore::open({.folder = folder / "blobs", .sync = false});
  }
  ~Node() { std::filesystem::remove_all(folder); }
};

struct Pair {
  Node here, there;
  BlobSource source{there.blobs};
  BlobFetches fetches{here.blobs, here.folder / "incoming"};

  /// Asks until nothing is to be asked for any more. @return how many messages that took
  int exchange(char flipped = 0) {
    int messages = 0;
    for (auto requests = fetches.take_requests(); !requests.empty();
         requests = fetches.take_requests())
      for (const wire::BlobRequest& request : requests) {
        wire::BlobChunk chunk = source.answer(request);
        if (!chunk.bytes.empty()) chunk.bytes[0] = static_cast<char>(chunk.bytes[0] ^ flipped);
        fetches.take(chunk);
        ++messages;
      }
    return messages;
  }
};

std::string long_text() {
  std::string text;
  for (int i = 0; text.size() <= 2 * wire::blob_chunk_bytes; ++i) text += std::to_string(i) + ",";
  return text;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(blob_transfer, Pair)

BOOST_AUTO_TEST_CASE(a_file_comes_in_parts_and_is_what_it_was) {
  const std::string text = long_text();
  const Digest digest = *there.blobs->put(text);
  fetches.want({digest, false});
  fetches.want({digest, false});  // asked for once
  BOOST_TEST(exchange() == 3);
  const auto arrived = fetches.take_arrived();
  BOOST_REQUIRE(arrived.size() == 1u);
  BOOST_REQUIRE(arrived[0].status.has_value());
  BOOST_TEST((*here.blobs->get(digest) == text));
  BOOST_TEST(std::filesystem::is_empty(here.folder / "incoming"));
}

BOOST_AUTO_TEST_CASE(a_value_that_is_only_in_memory_can_be_fetched_while_somebody_keeps_it) {
  auto kept = std::make_unique<Payload>(*Payload::of(Value(long_text())));
  source.offer(*kept);
  Payload named{kept->digest, kept->size, nullptr};
  const auto missing = complete(named, *here.blobs);
  BOOST_REQUIRE(missing.size() == 1u);
  fetches.want(missing[0]);
  exchange();
  BOOST_TEST(fetches.take_arrived().at(0).status.has_value());
  BOOST_TEST(complete(named, *here.blobs).empty());
  BOOST_TEST((named.view() == kept->view()));
  kept.reset();
  named = {};
  const auto gone = source.answer({missing[0].digest, 0});
  BOOST_TEST(gone.size == 0u);
}

// Two tasks that gather the same list: the first to end took its input away from the other.
BOOST_AUTO_TEST_CASE(a_value_of_two_attempts_can_be_fetched_until_both_let_go) {
  const Value value(long_text());
  for (const bool first_goes : {true, false}) {
    auto first = std::make_unique<Payload>(*Payload::of(value));
    auto second = std::make_unique<Payload>(*Payload::of(value));
    const Digest digest = first->digest;
    source.offer(*first);
    source.offer(*second);
    (first_goes ? first : second).reset();
    BOOST_TEST(source.answer({digest, 0}).size > 0u);
    source = BlobSource{there.blobs};
  }
}

BOOST_AUTO_TEST_CASE(a_value_names_the_files_that_are_missing_with_it) {
  const std::string content = "letter";
  const Digest digest = *there.blobs->put(content);
  Payload value =
      *Payload::of(Value(List{FileValue{digest, content.size(), false}.to_value(), Value("text")}));
  const auto missing = complete(value, *here.blobs);
  BOOST_REQUIRE(missing.size() == 1u);
  BOOST_TEST((missing[0] == Wanted{digest, false}));
  fetches.want(missing[0]);
  exchange();
  BOOST_TEST(complete(value, *here.blobs).empty());
}

BOOST_AUTO_TEST_CASE(an_empty_file_is_not_a_missing_one) {
  const Digest digest = *there.blobs->put("");
  fetches.want({digest, false});
  exchange();
  BOOST_TEST(fetches.take_arrived().at(0).status.has_value());
  BOOST_TEST(here.blobs->contains(digest));
}

BOOST_AUTO_TEST_CASE(what_is_nowhere_or_not_what_it_says_does_not_come) {
  fetches.want({sha256("nobody has it"), false});
  exchange();
  BOOST_TEST((fetches.take_arrived().at(0).status.error().code == ErrorCode::not_found));
  const Digest digest = *there.blobs->put("good bytes");
  fetches.want({digest, false});
  exchange(1);
  BOOST_TEST((fetches.take_arrived().at(0).status.error().code == ErrorCode::corrupt));
  BOOST_TEST(!here.blobs->contains(digest));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
