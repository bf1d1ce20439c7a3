#include "core/cache_key.hpp"

#include <set>

#include <rapidcheck/boost_test.h>
#include <boost/test/unit_test.hpp>

#include "core/payload.hpp"
#include "tests/core/vectors.hpp"

BOOST_AUTO_TEST_SUITE(cache_key)

using namespace reprise;
using reprise::tests::Vectors;

namespace {

Digest argument(const Value& value) {
  return Payload::of(value).value().digest;
}

using Parts = std::vector<std::pair<std::string, std::string>>;

/// K1 of the vectors.
struct Base {
  Parts inputs = {{"a", "i64"}, {"b", "i64"}};
  Parts outputs = {{"o0", "i64"}};
  Material material;

  Base() {
    material.account = "acct1";
    material.name = "pkg.add";
    material.version = "v1";
    material.arguments = {{"a", argument(10)}, {"b", argument(5)}};
  }
  std::string key() {
    material.signature = Signature{inputs, outputs}.digest();
    return Key::of(material).digest.hex();
  }
};

template <class Change>
std::string changed(Change change) {
  Base base;
  change(base);
  return base.key();
}

void check_keys(const std::string& file, std::vector<std::pair<std::string, std::string>> keys) {
  Vectors vectors(file);
  for (const auto& [name, key] : keys) {
    BOOST_TEST_CONTEXT(name) {
      BOOST_REQUIRE(vectors.keys.contains(name));
      BOOST_TEST(key == vectors.keys.at(name));
      vectors.keys.erase(name);
    }
  }
  vectors.keys.erase("dir");  // tried with the encodings
  for (const auto& left : vectors.keys) BOOST_ERROR("vector not tried: " + left.first);
}

}  // namespace

BOOST_AUTO_TEST_CASE(golden_vectors_hold) {
  check_keys(
      "cache_key_vectors.txt",
      {{"K1 base", changed([](Base&) {})},
       {"K2 version v2", changed([](Base& b) { b.material.version = "v2"; })},
       {"K3 account acct2", changed([](Base& b) { b.material.account = "acct2"; })},
       {"K4 name pkg.add2", changed([](Base& b) { b.material.name = "pkg.add2"; })},
       {"K5 a:i64->f64", changed([](Base& b) { b.inputs[0].second = "f64"; })},
       {"K6 output renamed", changed([](Base& b) { b.outputs[0].first = "sum"; })},
       {"K7 args a=11", changed([](Base& b) { b.material.arguments["a"] = argument(11); })},
       {"K8 ignore a, a=10", changed([](Base& b) { b.material.arguments.erase("a"); })},
       {"K9 ignore a, a=20 (== K8)", changed([](Base& b) { b.material.arguments.erase("a"); })},
       {"K10 ignore a, b=8", changed([](Base& b) {
          b.material.arguments = {{"b", argument(8)}};
        })},
       {"K11 default b=5 (== K1)", changed([](Base&) {})},
       {"K12 params reordered (== K1)",
        changed([](Base& b) { std::swap(b.inputs[0], b.inputs[1]); })},
       {"K13 salt", changed([](Base& b) { b.material.salt = "s"; })},
       {"K14 dep image",
        changed([](Base& b) { b.material.dependencies["image"] = sha256("img"); })},
       {"K15 env TZ=UTC", changed([](Base& b) { b.material.environment["TZ"] = "UTC"; })},
       {"K16 name a-b ver c",
        changed([](Base& b) { b.material.name = "a-b", b.material.version = "c"; })},
       {"K17 name a ver b-c (!= K16)",
        changed([](Base& b) { b.material.name = "a", b.material.version = "b-c"; })},
       {"K18 code digest",
        changed([](Base& b) { b.material.code = sha256("int add(int a,int b){return a+b;}"); })},
       {"K19 void task no args", changed([](Base& b) {
          b.inputs.clear(), b.outputs.clear(), b.material.arguments.clear();
        })}});
}

BOOST_AUTO_TEST_CASE(golden_vectors_of_commands_hold) {
  // What goes into the key of a command: its words under "command", files by content, the platform
  // as a dependency.
  auto command = [](auto change) {
    return changed([&](Base& b) {
      b.material.account = "default";
      b.material.name = "align";
      b.material.version = "1";
      b.inputs = {{"command", "list<str>"}, {"reads.fq", "file"}};
      b.outputs = {{"result", "any"}};
      b.material.arguments = {
          {"command", argument(List{"aligner", "-q", "30", "reads.fq"})},
          {"reads.fq", argument(FileValue{sha256("ACGT\n"), 5, false}.to_value())}};
      b.material.dependencies = {{"platform", argument("linux-x86_64")}};
      change(b);
    });
  };
  auto wide = [](std::vector<std::string> names, bool from_one) {
    return changed([&](Base& b) {
      b.material.account = "default";
      b.material.name = "wide";
      b.material.version = "1";
      b.inputs.clear(), b.outputs.clear(), b.material.arguments.clear();
      int number = from_one ? 1 : 0;
      for (const auto& name : names) {
        b.inputs.emplace_back(name, "i64");
        b.material.arguments[name] = argument(number++);
      }
    });
  };
  std::vector<std::string> twenty;
  for (int i = 0; i < 20; ++i) twenty.push_back("argument_" + std::to_string(i));
  check_keys(
      "command_key_vectors.txt",
      {{"C1 command with a file", command([](Base&) {})},
       {"C2 file content changed", command([](Base& b) {
          b.material.arguments["reads.fq"] =
              argument(FileValue{sha256("ACGA\n"), 5, false}.to_value());
        })},
       {"C3 argument changed", command([](Base& b) {
          b.material.arguments["command"] = argument(List{"aligner", "-q", "35", "reads.fq"});
        })},
       {"C4 platform linux-aarch64",
        command([](Base& b) { b.material.dependencies["platform"] = argument("linux-aarch64"); })},
       {"C5 env LANG=C", command([](Base& b) { b.material.environment["LANG"] = "C"; })},
       {"C6 script", command([](Base& b) {
          b.inputs = {{"command", "str"}};
          b.material.arguments = {{"command", argument("aligner -q 30 reads.fq\n")}};
        })},
       {"C7 run parameter",
        command([](Base& b) { b.material.dependencies["param:quality"] = argument(30); })},
       {"C8 no platform (a function)", command([](Base& b) { b.material.dependencies.clear(); })},
       {"C9 twenty arguments", wide(twenty, false)},
       {"C10 long and short names",
        wide({std::string(40, 'b'), std::string(300, 'a'), "z", "aa"}, true)}});
}

BOOST_AUTO_TEST_CASE(fields_do_not_run_into_each_other) {
  std::set<std::string> keys = {
      changed([](Base&) {}),
      changed([](Base& b) { b.material.environment["A"] = "B"; }),
      changed([](Base& b) { b.material.environment["AB"] = ""; }),
      changed([](Base& b) { b.material.environment[""] = "AB"; }),
      changed([](Base& b) { b.material.dependencies["A"] = argument("B"); }),
      changed([](Base& b) { b.material.arguments["A"] = argument("B"); }),
      changed([](Base& b) { b.material.code = Digest{}; }),
      changed([](Base& b) { b.inputs.emplace_back("A", "i64"); }),
      changed([](Base& b) { b.outputs.emplace_back("A", "i64"); }),
      changed([](Base& b) { std::swap(b.inputs, b.outputs); }),
  };
  BOOST_TEST(keys.size() == 10u);
}

BOOST_AUTO_TEST_CASE(text_form_is_read_back) {
  Base base;
  (void)base.key();
  Key key = Key::of(base.material);
  BOOST_TEST(key.text() == "k1:55ad029af2088d309230bec01fa9c0619f6e32c748d36fedd9527e47c32948a0");
  BOOST_TEST((Key::parse(key.text()).value() == key));
  for (std::string text :
       {std::string(), std::string("k1:"), key.digest.hex(), "k2:" + key.digest.hex(),
        key.text() + "0", "k1:" + std::string(64, 'g')})
    BOOST_TEST((Key::parse(text).error().code == ErrorCode::invalid_argument));
}

RC_BOOST_PROP(material_is_read_back, (const std::map<std::string, std::string>& texts,
                                      const std::string& salt, bool code)) {
  Material material;
  material.name = "pkg.add";
  material.version = "v1";
  material.salt = salt;
  material.environment = texts;
  for (const auto& [name, text] : texts) {
    material.arguments[name] = sha256(text);
    material.dependencies[text] = sha256(name);
  }
  if (code) material.code = sha256(salt);
  std::string bytes = material.encode();
  RC_ASSERT(Material::decode(bytes).value() == material);
  auto at = *rc::gen::inRange<std::size_t>(0, bytes.size());
  RC_ASSERT(!Material::decode(bytes.substr(0, at)));
  bytes[at] = static_cast<char>(bytes[at] ^ (1 << *rc::gen::inRange(0, 8)));
  if (auto other = Material::decode(bytes)) RC_ASSERT(other->encode() == bytes);
}

BOOST_AUTO_TEST_CASE(names_versions_and_text_are_checked) {
  Base base;
  BOOST_TEST(base.material.check().has_value());
  for (const char* version : {"", " ", " \t\n"}) {
    Material material = base.material;
    material.version = version;
    BOOST_TEST((material.check().error().code == ErrorCode::invalid_argument));
  }
  auto refused = [&](auto change) {
    Material material = base.material;
    change(material);
    return !material.check();
  };
  BOOST_TEST(refused([](Material& m) { m.name.clear(); }));
  BOOST_TEST(refused([](Material& m) { m.name = "\xff"; }));
  BOOST_TEST(refused([](Material& m) { m.environment["A"] = "\xff"; }));
  BOOST_TEST(refused([](Material& m) { m.arguments["\xff"] = {}; }));
  BOOST_TEST(!refused([](Material& m) { m.salt = "\xff"; }));
}

BOOST_AUTO_TEST_SUITE_END()
