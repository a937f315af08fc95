// SPDX-License-Identifier: Apache-2.0
#include "quoting/dcap_worker.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>

#include "base/file.h"
#include "quoting/dcap_protocol.h"

namespace enclayer::quoting {
namespace {

namespace fs = std::filesystem;

// Intel's interface, declared from its documentation (sgx_dcap_ql_wrapper.h, sgx_ql_core_wrapper.h, sgx_pce.h): results
// are quote3_error_t, structures are the packed bytes that TargetInfo and Report have too.
using SetPolicy = std::uint32_t (*)(std::uint32_t policy);
using SetPath = std::uint32_t (*)(std::uint32_t what, const char* path);
using InitQuote = std::uint32_t (*)(const void* key_id, void* target_info, bool refresh_key,
                                    std::size_t* pub_key_id_size, std::uint8_t* pub_key_id);
using GetQuoteSize = std::uint32_t (*)(const void* key_id, std::uint32_t* size);
using GetQuote = std::uint32_t (*)(const void* report, const void* key_id, void* qe_report_info, std::uint8_t* quote,
                                   std::uint32_t size);
using OldTargetInfo = std::uint32_t (*)(void* target_info);
using OldQuoteSize = std::uint32_t (*)(std::uint32_t* size);
using OldQuote = std::uint32_t (*)(const void* report, std::uint32_t size, std::uint8_t* quote);

constexpr std::uint32_t kPersistent = 0;  // sgx_ql_request_policy_t: load the enclaves once, keep them
constexpr std::size_t kMostEnclaveFile = 16 << 20;
constexpr char kQuoteLibrary[] = "libsgx_dcap_ql.so.1";

// Which package of Intel's SGX repository has a file.
struct Packaged {
  const char* file;
  const char* package;
};
constexpr Packaged kLibraries[] = {
    {"libsgx_dcap_ql", "libsgx-dcap-ql"},
    {"libsgx_qe3_logic", "libsgx-qe3-logic"},
    {"libsgx_pce_logic", "libsgx-pce-logic"},
    {"libsgx_urts", "libsgx-urts"},
    {"libsgx_enclave_common", "libsgx-enclave-common"},
    {"libsgx_default_qcnl", "libsgx-dcap-default-qpl"},
    {"libdcap_quoteprov", "libsgx-dcap-default-qpl"},
};
struct Enclave {
  std::uint32_t path_type;  // sgx_ql_path_type_t
  const char* file;
  const char* package;
};
constexpr Enclave kEnclaves[] = {{0, "libsgx_qe3.signed.so.1", "libsgx-ae-qe3"},
                                 {1, "libsgx_pce.signed.so.1", "libsgx-ae-pce"},
                                 {3, "libsgx_id_enclave.signed.so.1", "libsgx-ae-id-enclave"}};

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

// The file that a symbol was loaded from.
fs::path file_of(void* symbol) {
  Dl_info info{};
  return ::dladdr(symbol, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : "";
}

class Libraries {
 public:
  explicit Libraries(const DcapOptions& options) : options_(options) {}

  // Loads everything; the text says what, or what is missing.
  DcapHello load();

  DcapReply call(const DcapRequest& request);

 private:
  template <class Function>
  Function symbol(const char* name) {
    return reinterpret_cast<Function>(::dlsym(library_, name));
  }

  DcapReply init();
  DcapReply size();
  DcapReply quote(const DcapRequest& request);
  DcapReply files();
  DcapReply failed(std::uint32_t status);
  std::string explain(std::uint32_t status);

  const DcapOptions& options_;
  void* library_ = nullptr;
  fs::path enclave_dir_;  // where Intel's library looks for enclaves: beside itself
  InitQuote init_quote_ = nullptr;
  GetQuoteSize get_quote_size_ = nullptr;
  GetQuote get_quote_ = nullptr;
  OldTargetInfo old_target_info_ = nullptr;
  OldQuoteSize old_quote_size_ = nullptr;
  OldQuote old_quote_ = nullptr;
};

std::string why_not_loaded(const std::string& library, const std::string& message) {
  // dlerror() begins with the file that is at fault, which may be one that the library needs.
  std::string file = fs::path(message.substr(0, message.find(':'))).filename();
  for (const Packaged& known : kLibraries)
    if (file.starts_with(known.file))
      return library + " cannot be loaded (" + message + "): install package " + known.package +
             " from Intel's SGX repository or name the folder of the libraries with --dcap-lib-dir";
  return library + " cannot be loaded: " + message;
}

DcapHello Libraries::load() {
  auto refuse = [](std::string why) { return DcapHello{false, std::move(why)}; };
  std::string name = options_.lib_dir.empty() ? kQuoteLibrary : (options_.lib_dir / kQuoteLibrary).string();
  // Global: libsgx_qe3_logic.so takes its PCE functions from what is loaded beside it.
  library_ = ::dlopen(name.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library_ == nullptr) return refuse(why_not_loaded(name, ::dlerror()));

  init_quote_ = symbol<InitQuote>("sgx_ql_init_quote");
  get_quote_size_ = symbol<GetQuoteSize>("sgx_ql_get_quote_size");
  get_quote_ = symbol<GetQuote>("sgx_ql_get_quote");
  old_target_info_ = symbol<OldTargetInfo>("sgx_qe_get_target_info");
  old_quote_size_ = symbol<OldQuoteSize>("sgx_qe_get_quote_size");
  old_quote_ = symbol<OldQuote>("sgx_qe_get_quote");
  bool whole = init_quote_ && get_quote_size_ && get_quote_;
  fs::path loaded_from = file_of(whole ? reinterpret_cast<void*>(init_quote_) : reinterpret_cast<void*>(old_quote_));
  if (!whole && !(old_target_info_ && old_quote_size_ && old_quote_))
    return refuse(
        name +
        " has neither sgx_ql_get_quote nor sgx_qe_get_quote: it is not Intel's quote library; install package "
        "libsgx-dcap-ql from Intel's SGX repository");
  if (!whole) init_quote_ = nullptr;
  enclave_dir_ = options_.lib_dir.empty() ? loaded_from.parent_path() : options_.lib_dir;

  // Persistent is Intel's default; that it is said aloud guards against a library built otherwise. A refusal changes
  // nothing.
  for (const char* policy : {"sgx_ql_set_enclave_load_policy", "sgx_qe_set_enclave_load_policy"})
    if (auto set_policy = symbol<SetPolicy>(policy)) {
      set_policy(kPersistent);
      break;
    }
  if (auto set_policy = symbol<SetPolicy>("sgx_set_pce_enclave_load_policy")) set_policy(kPersistent);
  if (auto set_path = symbol<SetPath>("sgx_ql_set_path"); set_path && !options_.lib_dir.empty())
    for (const Enclave& enclave : kEnclaves)
      if (fs::path path = options_.lib_dir / enclave.file; is_file(path)) set_path(enclave.path_type, path.c_str());

  // Intel's library looks for the provider itself, when it needs it, and makes quotes without a certificate where there
  // is none: quotes that nobody can verify. Better to know it now.
  void* provider = ::dlopen("libdcap_quoteprov.so.1", RTLD_LAZY);
  if (provider == nullptr) provider = ::dlopen("libdcap_quoteprov.so", RTLD_LAZY);
  if (provider == nullptr)
    return refuse(std::string("no quote provider: libdcap_quoteprov.so.1 cannot be loaded (") + ::dlerror() +
                  "): install package libsgx-dcap-default-qpl from Intel's SGX repository, or az-dcap-client on Azure");
  void* get_config = ::dlsym(provider, "sgx_ql_get_quote_config");
  if (get_config == nullptr)
    return refuse(
        "the quote provider libdcap_quoteprov.so has no sgx_ql_get_quote_config: it is not one; install package "
        "libsgx-dcap-default-qpl, or az-dcap-client on Azure");
  return {true, loaded_from.string() + (whole ? " (sgx_ql)" : " (only sgx_qe)") + ", provider " +
                    file_of(get_config).string()};
}

DcapReply Libraries::failed(std::uint32_t status) {
  DcapReply reply;
  reply.status = status;
  reply.text = explain(status);
  return reply;
}

// Looks for the cause where a failure says "could not load": the files and devices that have to be there.
std::string Libraries::explain(std::uint32_t status) {
  if (fault_of(status) != Fault::kEnclave || status == kDcapEnclaveLost) return "";
  for (const Enclave& enclave : kEnclaves)
    if (!is_file(enclave_dir_ / enclave.file))
      return std::string(enclave.file) + " is not in " + enclave_dir_.string() + ": install package " +
             enclave.package + " from Intel's SGX repository";
  if (options_.dev_dir.empty()) return "";
  for (const char* node : {"sgx_enclave", "sgx_provision"}) {
    fs::path device = options_.dev_dir / node;
    if (::access(device.c_str(), F_OK) != 0)
      return device.string() +
             " is not there: give the helper EPC and the provision resource of the device plugin, or see that the "
             "kernel's SGX driver is on";
    if (::access(device.c_str(), R_OK | W_OK) != 0)
      return device.string() + " may not be opened by user " + std::to_string(::geteuid()) + ", group " +
             std::to_string(::getegid()) + ": add the group that owns it";
  }
  return "";
}

DcapReply Libraries::init() {
  alignas(512) ByteArray<sgx::TargetInfo::kSize> target{};
  ByteArray<32> pub_key_id{};
  std::size_t pub_key_id_size = pub_key_id.size();
  std::uint32_t status = init_quote_ ? init_quote_(nullptr, target.data(), false, &pub_key_id_size, pub_key_id.data())
                                     : old_target_info_(target.data());  // tells no key id: it stays zero
  if (status != kDcapSuccess) return failed(status);
  DcapReply reply;
  reply.target = {sgx::TargetInfo::from_bytes(target), pub_key_id};
  return reply;
}

DcapReply Libraries::size() {
  DcapReply reply;
  reply.status = init_quote_ ? get_quote_size_(nullptr, &reply.size) : old_quote_size_(&reply.size);
  return reply.status == kDcapSuccess ? reply : failed(reply.status);
}

DcapReply Libraries::quote(const DcapRequest& request) {
  using Info = sgx::QeReportInfo;
  if (request.qe_report && init_quote_ == nullptr) return failed(kDcapUnableToGenerateQeReport);
  alignas(512) ByteArray<sgx::Report::kSize> report = request.report.raw;
  ByteArray<Info::kSize> info{};
  if (request.qe_report) {
    auto target = request.qe_report->target.to_bytes();
    std::copy(request.qe_report->nonce.begin(), request.qe_report->nonce.end(), info.begin());
    std::copy(target.begin(), target.end(), info.begin() + Info::kTargetInfoOffset);
  }
  // A buffer that every quote fits in: the library fills the front of it.
  Bytes buffer(kMostQuote);
  auto room = static_cast<std::uint32_t>(buffer.size());
  std::uint32_t status =
      init_quote_ ? get_quote_(report.data(), nullptr, request.qe_report ? info.data() : nullptr, buffer.data(), room)
                  : old_quote_(report.data(), room, buffer.data());
  if (status != kDcapSuccess) return failed(status);
  auto length = length_of_quote(buffer);
  if (!length) {
    DcapReply reply;
    reply.status = kDcapUnexpected;
    reply.text = "the library gave something that is not a quote: " + length.error().message();
    return reply;
  }
  buffer.resize(*length);
  DcapReply reply;
  reply.quote.quote = std::move(buffer);
  if (request.qe_report) {
    reply.quote.qe_report.emplace();
    std::copy_n(info.begin() + Info::kReportOffset, sgx::Report::kSize, reply.quote.qe_report->raw.begin());
  }
  return reply;
}

// Those of kLibraries that are loaded, in that order, and the enclaves.
DcapReply Libraries::files() {
  std::map<std::string, fs::path> loaded;  // by the file's name
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* into) {
        fs::path path = info->dlpi_name;
        static_cast<std::map<std::string, fs::path>*>(into)->emplace(path.filename(), path);
        return 0;
      },
      &loaded);
  DcapReply reply;
  auto add = [&](const fs::path& path) -> DcapFile& {
    std::error_code error;
    fs::path real = fs::canonical(path, error);
    return reply.files.emplace_back(DcapFile{error ? path.string() : real.string(), {}});
  };
  for (const Packaged& known : kLibraries)
    if (auto found = loaded.lower_bound(known.file); found != loaded.end() && found->first.starts_with(known.file))
      add(found->second);
  for (const Enclave& enclave : kEnclaves)
    if (auto content = base::read_file(enclave_dir_ / enclave.file, kMostEnclaveFile))
      add(enclave_dir_ / enclave.file).sigstructs = sgx::find_sigstructs(*content, DcapFile::kMostSigstructs);
  return reply;
}

DcapReply Libraries::call(const DcapRequest& request) {
  switch (request.call) {
    case DcapCall::kInit: return init();
    case DcapCall::kSize: return size();
    case DcapCall::kQuote: return quote(request);
    case DcapCall::kFiles: return files();
  }
  return failed(kDcapInvalidParameter);
}

bool send_message(int fd, const Bytes& message) {
  return ::send(fd, message.data(), message.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(message.size());
}

}  // namespace

std::optional<DcapOptions> dcap_worker_options(int argc, const char* const* argv) {
  if (argc != 4 || argv[1] != kDcapWorkerFlag) return std::nullopt;
  DcapOptions options;
  options.lib_dir = argv[2];
  options.dev_dir = argv[3];
  return options;
}

int run_dcap_worker(int socket_fd, const DcapOptions& options) {
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  ::prctl(PR_SET_DUMPABLE, 0);  // no core dump, no ptrace by others of our user: reports and keys pass through here
  rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::unsetenv("SGX_AESM_ADDR");

  Libraries libraries(options);
  DcapHello hello = libraries.load();
  if (!send_message(socket_fd, encode(hello)) || !hello.loaded) return 1;

  Bytes message(kMostDcapMessage);
  while (true) {
    ssize_t size = ::recv(socket_fd, message.data(), message.size(), MSG_TRUNC);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return 0;
    if (static_cast<std::size_t>(size) > message.size()) return 1;
    auto request = decode_dcap_request(ByteView(message).first(static_cast<std::size_t>(size)));
    if (!request) return 1;
    if (!send_message(socket_fd, encode(libraries.call(*request), request->call))) return 0;
  }
}

}  // namespace enclayer::quoting
