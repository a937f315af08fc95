// SPDX-License-Identifier: Apache-2.0
// A stand-in for Intel's DCAP quote libraries, for machines without SGX: the same file names, the same functions,
// declared by us from their documentation. It does what the file named by ENCLAYER_STANDIN says, read anew at every
// call, and appends a line about each call to the file named by ENCLAYER_STANDIN_LOG.
//
//   init e019      this call answers that quote3_error_t, in hexadecimal (also: size, quote)
//   hang quote     this call never returns (also: init, size)
//   hang-at 3      the third quote never returns, counted over all processes
//   crash quote    this call writes to address 8
//   exit init      this call ends the process with exit code 3
//   key 2          the attestation key; where it is not the one that init prepared, size and quote answer E00F
//   key pid        a key of its own for every process
//   tcb 2          the TCB that the platform's certificate is for; where it is not the one of init: E00F as well
//   qe 2           the QE's generation: its MRENCLAVE, and which reports it accepts
//   cert 3600      bytes of certification data
//   say words      what a call writes to standard error
//   garbage quote  the quote is no quote (also: another, the quote of another report)
//
// A report is accepted when its MAC is 16 bytes of 0xA0 + qe. Report data 'H' at its first byte hangs, 'C' crashes, so
// that one request of many can be the bad one. Quotes are well-formed, their signatures are filler: nothing here is
// secret.
#include <fcntl.h>
#include <openssl/sha.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#ifdef STANDIN_BARE
// A library of the right name without any of the functions.
extern "C" int not_intels(void) { return 0; }
#else

namespace {

constexpr std::uint32_t kInvalidParameter = 0xE002, kNotInitialized = 0xE00F, kInvalidReport = 0xE015;

std::multimap<std::string, std::string> orders() {
  std::multimap<std::string, std::string> all;
  const char* path = std::getenv("ENCLAYER_STANDIN");
  std::ifstream in(path ? path : "");
  for (std::string line; std::getline(in, line);) {
    auto space = line.find(' ');
    if (space != std::string::npos) all.emplace(line.substr(0, space), line.substr(space + 1));
  }
  return all;
}

std::string order(const std::string& what, const std::string& otherwise) {
  auto all = orders();
  auto found = all.find(what);
  return found == all.end() ? otherwise : found->second;
}

bool ordered(const std::string& what, const std::string& call) {
  auto all = orders();
  auto [from, to] = all.equal_range(what);
  for (; from != to; ++from)
    if (from->second == call) return true;
  return false;
}

void note(const std::string& line) {
  if (const char* path = std::getenv("ENCLAYER_STANDIN_LOG")) std::ofstream(path, std::ios::app) << line + "\n";
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "unset";
}

[[noreturn]] void hang() {
  while (true) ::pause();
}

// How many quotes were asked for, this one included.
int quotes_so_far() {
  const char* path = std::getenv("ENCLAYER_STANDIN_LOG");
  std::ifstream in(path ? path : "");
  int count = 0;
  for (std::string line; std::getline(in, line);) count += line == "quote";
  return count;
}

void crash() {
  ::signal(SIGSEGV, SIG_DFL);  // a sanitizer would make an exit code of it
  ::raise(SIGSEGV);
}

int current_key() {
  std::string key = order("key", "1");
  return key == "pid" ? static_cast<int>(::getpid()) : std::atoi(key.c_str());
}
int current_qe() { return std::atoi(order("qe", "1").c_str()); }
std::uint32_t cert_size() { return static_cast<std::uint32_t>(std::atoi(order("cert", "3548").c_str())); }

int current_tcb() { return std::atoi(order("tcb", "1").c_str()); }

int g_key = 0, g_tcb = 0;  // what init prepared

bool prepared() { return g_key == current_key() && g_tcb == current_tcb(); }

// The answer that was ordered for this call; 0 to go on.
std::uint32_t begin(const char* call) {
  note(call);
  if (std::string words = order("say", ""); !words.empty()) std::fprintf(stderr, "%s\n", words.c_str());
  if (ordered("hang", call)) hang();
  if (ordered("crash", call)) crash();
  if (ordered("exit", call)) ::_exit(3);
  return static_cast<std::uint32_t>(std::strtoul(order(call, "0").c_str(), nullptr, 16));
}

void fill(std::uint8_t* at, std::size_t size, int seed) {
  for (std::size_t i = 0; i < size; ++i) at[i] = static_cast<std::uint8_t>(static_cast<std::size_t>(seed) * 31 + i);
}

void put(std::uint8_t* at, std::uint32_t number, int bytes) {
  for (int i = 0; i < bytes; ++i) at[i] = static_cast<std::uint8_t>(number >> (8 * i));
}

std::array<std::uint8_t, 32> key_id(int key) {
  std::uint8_t input[64 + 32];
  fill(input, 64, key);
  fill(input + 64, 32, 0);
  std::array<std::uint8_t, 32> out{};
  ::SHA256(input, sizeof input, out.data());
  return out;
}

std::uint32_t init(void* target_info, std::size_t* size, std::uint8_t* id) {
  if (std::uint32_t status = begin("init")) return status;
  if (size == nullptr || (id != nullptr && *size != 32)) return kInvalidParameter;
  g_key = current_key();
  g_tcb = current_tcb();
  *size = 32;
  if (id != nullptr) {
    auto bytes = key_id(g_key);
    std::memcpy(id, bytes.data(), bytes.size());
  }
  if (target_info != nullptr) {
    auto* target = static_cast<std::uint8_t*>(target_info);
    std::memset(target, 0, 512);
    fill(target, 32, 100 + current_qe());
    target[32] = 0x15;
    target[40] = 0xE7;
  }
  return 0;
}

std::uint32_t size_of_quote(std::uint32_t* size) {
  if (std::uint32_t status = begin("size")) return status;
  if (!prepared()) return kNotInitialized;
  *size = 1052 + cert_size();
  return 0;
}

std::uint32_t make_quote(const void* app_report, void* qe_report_info, std::uint8_t* quote, std::uint32_t room) {
  if (std::uint32_t status = begin("quote")) return status;
  const auto* report = static_cast<const std::uint8_t*>(app_report);
  if (report[320] == 'H') hang();
  if (std::string at = order("hang-at", ""); !at.empty() && quotes_so_far() == std::atoi(at.c_str())) hang();
  if (report[320] == 'C') crash();
  if (!prepared()) return kNotInitialized;
  for (int i = 0; i < 16; ++i)
    if (report[416 + i] != 0xA0 + current_qe()) return kInvalidReport;
  std::uint32_t size = 1052 + cert_size();
  if (room < size) return kInvalidParameter;

  put(quote, 3, 2);
  put(quote + 2, 2, 2);
  put(quote + 4, 0, 4);
  put(quote + 8, 10, 2);   // QE SVN
  put(quote + 10, 15, 2);  // PCE SVN
  fill(quote + 12, 16, 7);
  fill(quote + 28, 20, 8);
  std::memcpy(quote + 48, report, 384);
  if (ordered("another", "quote")) quote[48 + 320] ^= 1;
  put(quote + 432, size - 436, 4);
  fill(quote + 436, 64, 9);
  fill(quote + 500, 64, g_key);
  std::memset(quote + 564, 0, 384);
  put(quote + 564 + 256, 1, 2);
  put(quote + 564 + 258, 10, 2);
  auto id = key_id(g_key);
  std::memcpy(quote + 564 + 320, id.data(), id.size());
  fill(quote + 948, 64, 10);
  put(quote + 1012, 32, 2);
  fill(quote + 1014, 32, 0);
  put(quote + 1046, 5, 2);
  put(quote + 1048, size - 1052, 4);
  std::memset(quote + 1052, '-', size - 1052);
  if (ordered("garbage", "quote")) put(quote + 432, 0x7FFFFFFF, 4);

  if (qe_report_info != nullptr) {
    auto* info = static_cast<std::uint8_t*>(qe_report_info);
    std::string hashed(reinterpret_cast<char*>(info), 16);
    hashed.append(reinterpret_cast<char*>(quote), size);
    std::uint8_t* qe_report = info + 528;
    std::memset(qe_report, 0, 432);
    ::SHA256(reinterpret_cast<const std::uint8_t*>(hashed.data()), hashed.size(), qe_report + 320);
    std::memcpy(qe_report + 416, info + 16, 16);  // "made for" the enclave that asked: the front of its MRENCLAVE
  }
  return 0;
}

[[gnu::constructor]] void loaded() {
  for (const char* name : {"SGX_AESM_ADDR", "QCNL_CONF_PATH", "AZDCAP_CACHE"})
    note(std::string("load ") + name + "=" + variable(name));
  note("load pid=" + std::to_string(::getpid()));
  std::string descriptors;
  for (int fd = 0; fd < 1024; ++fd)
    if (::fcntl(fd, F_GETFD) >= 0) descriptors += " " + std::to_string(fd);
  note("load descriptors" + descriptors);
  rlimit core{};
  ::getrlimit(RLIMIT_CORE, &core);
  note("load core=" + std::to_string(core.rlim_max) + " dumpable=" + std::to_string(::prctl(PR_GET_DUMPABLE)) +
       " no_new_privs=" + std::to_string(::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)));
}

}  // namespace

extern "C" {

#ifndef STANDIN_OLD
std::uint32_t sgx_ql_init_quote(const void*, void* target_info, bool, std::size_t* size, std::uint8_t* id) {
  return init(target_info, size, id);
}
std::uint32_t sgx_ql_get_quote_size(const void*, std::uint32_t* size) { return size_of_quote(size); }
std::uint32_t sgx_ql_get_quote(const void* report, const void*, void* info, std::uint8_t* quote, std::uint32_t size) {
  return make_quote(report, info, quote, size);
}
std::uint32_t sgx_ql_set_enclave_load_policy(std::uint32_t policy) {
  note("policy " + std::to_string(policy));
  return 0;
}
std::uint32_t sgx_ql_set_path(std::uint32_t what, const char* path) {
  note("path " + std::to_string(what) + " " + path);
  return 0;
}
#endif

std::uint32_t sgx_qe_get_target_info(void* target_info) {
  std::size_t size = 32;
  return init(target_info, &size, nullptr);
}
std::uint32_t sgx_qe_get_quote_size(std::uint32_t* size) { return size_of_quote(size); }
std::uint32_t sgx_qe_get_quote(const void* report, std::uint32_t size, std::uint8_t* quote) {
  return make_quote(report, nullptr, quote, size);
}

}  // extern "C"
#endif
