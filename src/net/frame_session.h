// SPDX-License-Identifier: Apache-2.0
// One client's conversation in frames, without its socket and without a clock. A frame is 4 bytes of length (little
// endian, itself not counted), then that many bytes; a reply has the same form. Frames are answered one after the
// other, in the order they came.
//
//   session.receive(bytes);
//   while (auto frame = session.frame()) { session.reply(...) or session.defer() or session.reject(...) }
//   session.sent(send(session.unsent()));
//
// The length is checked before anything is kept, and what is kept is what was received, never what was announced.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "enclayer/bytes.h"

namespace enclayer::net {

// Why a conversation was broken off.
enum class Rejection {
  kTooLong,      // a frame longer than the limit was announced
  kCutOff,       // the client closed in the middle of a frame
  kTooSlow,      // the frame was not complete in time
  kNotARequest,  // there is no reply to the frame
  kNotTaken,     // the reply was not taken in time
  kCrowdedOut,   // all places or all memory were taken, and others waited
  kDescriptors,  // file descriptors came along with it
};
inline constexpr std::size_t kRejections = 7;

// As a metric's label, "too_long", and for a log, "longer than the limit".
struct RejectionWords {
  const char *label, *text;
};
RejectionWords words_of(Rejection why);

class FrameSession {
 public:
  explicit FrameSession(std::uint32_t max_frame) : max_frame_(max_frame) {}

  // What it is that the conversation waits for.
  enum class State {
    kSilent,   // the client's first byte
    kIdle,     // the first byte of another frame
    kReading,  // the rest of a frame
    kWaiting,  // the reply to a frame that was deferred
    kWriting,  // that the client takes the rest of a reply
    kClosed,   // nothing: it is over
  };
  State state() const;
  std::optional<Rejection> rejection() const { return rejection_; }

  // How many bytes to read now, at most: as the frame that was begun needs, or an honest request is long. 0 where
  // nothing is to be read before something has been answered or sent.
  std::size_t wanted() const;
  void receive(ByteView bytes);
  void end_of_input();  // the client sends no more; it may still take replies

  // The next frame that is whole and has its turn, its length left out; valid until the session is changed. It stays
  // the next one until it is answered, deferred or rejected.
  std::optional<ByteView> frame();
  void reply(Bytes body);  // to the frame, or to the one that was deferred
  void defer();
  void reject(Rejection why);

  // The reply with its length in front. To be sent in one piece where possible: some clients crash on fragments.
  ByteView unsent() const { return ByteView(output_).subspan(sent_); }
  void sent(std::size_t bytes);

  void close() { closed_ = true; }

  std::uint64_t frames() const { return frames_; }  // handed out and dealt with
  std::uint32_t announced() const;                  // the length of the frame that was begun, 0 if it is not known yet
  std::size_t received() const { return input_.size(); }
  std::size_t buffered() const { return input_.capacity() + output_.capacity(); }

 private:
  bool may_read() const { return !closed_ && !deferred_ && output_.empty(); }
  void drop_frame();

  std::uint32_t max_frame_;
  bool deferred_ = false, ended_ = false, closed_ = false;
  std::optional<Rejection> rejection_;
  Bytes input_;  // begins with the frame whose turn it is
  Bytes output_;
  std::size_t sent_ = 0;
  std::uint64_t frames_ = 0;
};

}  // namespace enclayer::net
