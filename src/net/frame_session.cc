// SPDX-License-Identifier: Apache-2.0
#include "net/frame_session.h"

#include <utility>

#include "base/bytes.h"

namespace enclayer::net {
namespace {

constexpr std::size_t kHeader = 4;
// A whole honest AESM request (at most 1,671 bytes) and what may be sent behind it.
constexpr std::size_t kFirstRead = 4096;

}  // namespace

RejectionWords words_of(Rejection why) {
  static constexpr RejectionWords kWords[kRejections] = {
      {"too_long", "longer than the limit"},
      {"cut_off", "cut off"},
      {"too_slow", "not complete in time"},
      {"not_a_request", "not a request"},
      {"reply_not_taken", "the reply was not taken in time"},
      {"crowded_out", "gave way to others, all places were taken"},
      {"descriptors", "it brought file descriptors along"},
  };
  return kWords[static_cast<std::size_t>(why)];
}

FrameSession::State FrameSession::state() const {
  if (closed_) return State::kClosed;
  if (!output_.empty()) return State::kWriting;
  if (deferred_) return State::kWaiting;
  if (!input_.empty()) return State::kReading;
  return frames_ == 0 ? State::kSilent : State::kIdle;
}

std::uint32_t FrameSession::announced() const { return input_.size() < kHeader ? 0 : base::load_le32(input_.data()); }

std::size_t FrameSession::wanted() const {
  if (!may_read() || ended_) return 0;
  std::size_t whole = input_.size() < kHeader ? kFirstRead : kHeader + announced();
  return whole > input_.size() ? whole - input_.size() : 0;
}

void FrameSession::receive(ByteView bytes) { base::append(input_, bytes); }

void FrameSession::end_of_input() {
  ended_ = true;
  if (may_read() && input_.empty()) close();
}

std::optional<ByteView> FrameSession::frame() {
  if (!may_read() || input_.empty()) return std::nullopt;
  if (input_.size() >= kHeader) {
    if (announced() > max_frame_) {
      reject(Rejection::kTooLong);
      return std::nullopt;
    }
    if (input_.size() >= kHeader + announced()) return ByteView(input_).subspan(kHeader, announced());
  }
  if (ended_) reject(Rejection::kCutOff);
  return std::nullopt;
}

// What was read beyond the frame is the beginning of the next. A conversation that is idle holds no memory.
void FrameSession::drop_frame() {
  ++frames_;
  Bytes rest(input_.begin() + static_cast<std::ptrdiff_t>(kHeader + announced()), input_.end());
  input_.swap(rest);
}

void FrameSession::reply(Bytes body) {
  if (deferred_)
    deferred_ = false;
  else
    drop_frame();
  auto size = static_cast<std::uint32_t>(body.size());
  output_ = std::move(body);
  output_.insert(output_.begin(), kHeader, 0);
  base::store_le32(output_.data(), size);
}

void FrameSession::defer() {
  drop_frame();
  deferred_ = true;
}

void FrameSession::reject(Rejection why) {
  rejection_ = why;
  close();
}

void FrameSession::sent(std::size_t bytes) {
  sent_ += bytes;
  if (sent_ < output_.size()) return;
  Bytes().swap(output_);
  sent_ = 0;
  if (ended_ && input_.empty()) close();
}

}  // namespace enclayer::net
