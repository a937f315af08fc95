#include "pods/checkpoint_opener.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "pods/epc_holders.h"

namespace enclayer::pods {
namespace {

constexpr timeval kPatience{2, 0};

// One reply: an errno, and beside it the descriptor when that is 0.
struct Message {
  explicit Message(int& error_number) : part{&error_number, sizeof error_number} {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
  }
  Message(const Message&) = delete;

  iovec part;
  msghdr header{};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
};

bool reply(int socket, int error_number, const base::UniqueFd& file) {
  Message message(error_number);
  if (file) {
    cmsghdr* beside = CMSG_FIRSTHDR(&message.header);
    beside->cmsg_level = SOL_SOCKET;
    beside->cmsg_type = SCM_RIGHTS;
    beside->cmsg_len = CMSG_LEN(sizeof(int));
    int fd = file.get();
    std::memcpy(CMSG_DATA(beside), &fd, sizeof fd);
  } else {
    message.header.msg_controllen = 0;
  }
  return ::sendmsg(socket, &message.header, MSG_NOSIGNAL) > 0;
}

void give_up_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  ::syscall(SYS_capset, &header, none);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

// Until the other end is closed.
[[noreturn]] void serve(int socket, const char* path) {
  give_up_capabilities();
  ::dup2(socket, 3);
  ::syscall(SYS_close_range, 4, ~0U, 0);
  char again;
  while (::recv(3, &again, 1, 0) == 1) {
    base::UniqueFd file(::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!reply(3, file ? 0 : errno, file)) break;
  }
  ::_exit(0);
}

}  // namespace

Result<std::unique_ptr<CheckpointOpener>> CheckpointOpener::start(const std::filesystem::path& path) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
    return base::errno_error(errno, "cannot make a pair of sockets");
  base::UniqueFd ours(pair[0]), theirs(pair[1]);
  ::setsockopt(ours.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  pid_t pid = ::fork();
  if (pid < 0) return base::errno_error(errno, "cannot start the process that opens " + path.string());
  if (pid == 0) serve(theirs.get(), path.c_str());
  return std::unique_ptr<CheckpointOpener>(new CheckpointOpener(path, std::move(ours), pid));
}

CheckpointOpener::~CheckpointOpener() {
  socket_.reset();
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Result<base::UniqueFd> CheckpointOpener::open() {
  int error_number = 0;
  Message message(error_number);
  char again = 1;
  if (!socket_ || ::send(socket_.get(), &again, 1, MSG_NOSIGNAL) != 1 ||
      ::recvmsg(socket_.get(), &message.header, MSG_CMSG_CLOEXEC) != sizeof error_number) {
    socket_.reset();
    return Error(ErrorKind::kUnavailable, "the process that opens " + path_.string() +
                                              " has ended or does not answer; nobody gets a quote who was not known "
                                              "to hold EPC; restart the quote helper");
  }
  base::UniqueFd file;
  if (const cmsghdr* beside = CMSG_FIRSTHDR(&message.header);
      beside != nullptr && beside->cmsg_type == SCM_RIGHTS && beside->cmsg_len == CMSG_LEN(sizeof(int))) {
    int fd;
    std::memcpy(&fd, CMSG_DATA(beside), sizeof fd);
    file.reset(fd);
  }
  if (file) return file;
  return checkpoint_error(path_, error_number);
}

}  // namespace enclayer::pods
