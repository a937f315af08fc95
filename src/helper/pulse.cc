// SPDX-License-Identifier: Apache-2.0
#include "helper/pulse.h"

#include <sys/socket.h>

#include <cerrno>

#include "net/unix_socket.h"
#include "slots/slots.h"

namespace enclayer::helper {

void Pulse::restart() {
  connection_.reset();
  asked_.reset();
  next_ = {};
}

void Pulse::look(Moment now) {
  if (connection_) {
    char answers[256];
    ssize_t size = 0;
    while ((size = ::recv(connection_.get(), answers, sizeof answers, MSG_DONTWAIT)) > 0) asked_.reset();
    if (size == 0 || (errno != EAGAIN && errno != EINTR)) restart();
  }
  if (now < next_) return;
  bool is_new = !connection_, is_full = false;
  for (const auto& socket : sockets_) {
    if (connection_ || is_full) break;
    auto connected = net::connect_to(socket, std::chrono::milliseconds(1));
    if (connected)
      connection_ = std::move(*connected);
    else
      is_full = connected.error().kind() == ErrorKind::kTimedOut;
  }
  if (!connection_ && !is_full) return asked_.reset();
  next_ = now + kAsk;
  if (connection_ && (is_new || !asked_))
    ::send(connection_.get(), slots::kHealthQuestion.data(), slots::kHealthQuestion.size(),
           MSG_DONTWAIT | MSG_NOSIGNAL);
  if (!asked_) asked_ = now;
}

}  // namespace enclayer::helper
