#include "worker/code_digest.hpp"

#include <link.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <string>

namespace reprise::worker {
namespace {

struct Module {
  std::uintptr_t address = 0;  // to look for; 0 = the program
  bool is_found = false;
  std::string file{};      // empty: the program
  std::string build_id{};  // empty: there is none
};

constexpr std::size_t aligned(std::size_t size) {
  return (size + 3) & ~std::size_t{3};
}

std::string build_id_in(const char* notes, std::size_t bytes) {
  while (bytes >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) head;
    std::memcpy(&head, notes, sizeof head);
    const std::size_t all = sizeof head + aligned(head.n_namesz) + aligned(head.n_descsz);
    if (all > bytes) return {};
    if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4)
      return {notes + sizeof head + aligned(head.n_namesz), head.n_descsz};
    notes += all;
    bytes -= all;
  }
  return {};
}

bool holds(const dl_phdr_info& info, std::uintptr_t address) {
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = info.dlpi_phdr[i];
    const std::uintptr_t begin = info.dlpi_addr + part.p_vaddr;
    if (part.p_type == PT_LOAD && begin <= address && address < begin + part.p_memsz) return true;
  }
  return false;
}

// The program comes first. Called for each module until it gives something else than 0.
int look_at(dl_phdr_info* info, std::size_t, void* data) {
  auto& wanted = *static_cast<Module*>(data);
  if (wanted.address != 0 && !holds(*info, wanted.address)) return 0;
  wanted.is_found = true;
  wanted.file = info->dlpi_name;
  for (int i = 0; i < info->dlpi_phnum && wanted.build_id.empty(); ++i) {
    const ElfW(Phdr)& part = info->dlpi_phdr[i];
    if (part.p_type != PT_NOTE) continue;
    wanted.build_id =
        build_id_in(reinterpret_cast<const char*>(info->dlpi_addr + part.p_vaddr), part.p_memsz);
  }
  return 1;
}

}  // namespace

Result<Digest> code_digest(const void* address) {
  Module module{.address = reinterpret_cast<std::uintptr_t>(address), .is_found = false};
  dl_iterate_phdr(look_at, &module);
  if (!module.is_found) {
    module.address = 0;
    dl_iterate_phdr(look_at, &module);
  }
  if (!module.build_id.empty()) return digest_in("code", module.build_id);
  static std::mutex mutex;
  static std::map<std::string, Digest> known;
  const std::lock_guard guard(mutex);
  const std::string path = module.file.empty() ? "/proc/self/exe" : module.file;
  if (const auto found = known.find(path); found != known.end()) return found->second;
  std::ifstream file(path, std::ios::binary);
  const std::string content(std::istreambuf_iterator<char>(file), {});
  if (!file || content.empty())
    return fail(ErrorCode::io, "cannot read \"" + path + "\" to tell its build");
  return known[path] = digest_in("code", content);
}

}  // namespace reprise::worker
