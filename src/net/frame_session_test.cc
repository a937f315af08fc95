// SPDX-License-Identifier: Apache-2.0
#include "net/frame_session.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "fake/framed.h"

namespace enclayer::net {
namespace {

using fake::framed;
using State = FrameSession::State;

class FrameSessionTest : public testing::Test {
 protected:
  std::string frame() {
    auto next = session_.frame();
    return next ? std::string(base::as_text(*next)) : "none";
  }
  void answer(std::string_view text) {
    session_.reply(Bytes(text.begin(), text.end()));
    EXPECT_EQ(Bytes(session_.unsent().begin(), session_.unsent().end()), framed(text));
    session_.sent(session_.unsent().size());
  }

  FrameSession session_{100};
};

TEST_F(FrameSessionTest, states_follow_the_conversation) {
  EXPECT_EQ(session_.state(), State::kSilent);
  Bytes hello = framed("hello");
  session_.receive(ByteView(hello).first(6));
  EXPECT_EQ(session_.state(), State::kReading);
  EXPECT_EQ(frame(), "none");
  EXPECT_EQ(session_.wanted(), 3u);
  session_.receive(ByteView(hello).subspan(6));
  EXPECT_EQ(frame(), "hello");
  session_.defer();
  EXPECT_EQ(session_.state(), State::kWaiting);
  EXPECT_EQ(session_.wanted(), 0u);
  session_.reply({'w', 'o', 'r', 'l', 'd'});
  EXPECT_EQ(session_.state(), State::kWriting);
  session_.sent(8);
  EXPECT_EQ(session_.state(), State::kWriting);
  EXPECT_EQ(session_.unsent().size(), 1u);
  session_.sent(1);
  EXPECT_EQ(session_.state(), State::kIdle);
  session_.end_of_input();
  EXPECT_EQ(session_.state(), State::kClosed);
  EXPECT_FALSE(session_.rejection());
}

TEST_F(FrameSessionTest, frames_sent_at_once_are_handed_out_one_after_the_other) {
  Bytes both = framed("one");
  base::append(both, framed("two"));
  both.push_back(9);
  session_.receive(both);
  EXPECT_EQ(frame(), "one");
  session_.defer();
  EXPECT_EQ(frame(), "none") << "its turn has not come";
  answer("1");
  EXPECT_EQ(frame(), "two");
  answer("2");
  EXPECT_EQ(session_.state(), State::kReading);
  EXPECT_EQ(session_.received(), 1u);
}

TEST_F(FrameSessionTest, longest_frame_is_taken_and_a_longer_one_rejected_by_its_header) {
  session_.receive(framed(std::string(100, 'x')));
  EXPECT_EQ(frame(), std::string(100, 'x'));
  answer("");
  session_.receive(Bytes{101, 0, 0, 0});
  EXPECT_EQ(frame(), "none");
  EXPECT_EQ(session_.state(), State::kClosed);
  EXPECT_EQ(session_.rejection(), Rejection::kTooLong);
}

TEST_F(FrameSessionTest, end_of_input_lets_what_was_asked_be_answered) {
  session_.receive(framed("last"));
  session_.end_of_input();
  EXPECT_EQ(frame(), "last");
  session_.defer();
  EXPECT_EQ(session_.state(), State::kWaiting);
  answer("words");
  EXPECT_EQ(session_.state(), State::kClosed);
  EXPECT_FALSE(session_.rejection());
}

TEST_F(FrameSessionTest, end_of_input_inside_a_frame_cuts_it_off_after_the_frames_before_it) {
  Bytes one_and_a_half = framed("one");
  base::append(one_and_a_half, Bytes{9, 0, 0, 0, 'x'});
  session_.receive(one_and_a_half);
  session_.end_of_input();
  EXPECT_EQ(frame(), "one");
  answer("1");
  EXPECT_EQ(frame(), "none");
  EXPECT_EQ(session_.rejection(), Rejection::kCutOff);
}

TEST_F(FrameSessionTest, silence_and_idleness_hold_no_memory) {
  EXPECT_EQ(session_.buffered(), 0u);
  session_.receive(framed("one"));
  EXPECT_GT(session_.buffered(), 0u);
  EXPECT_EQ(frame(), "one");
  answer("1");
  EXPECT_EQ(session_.buffered(), 0u);
}

TEST_F(FrameSessionTest, announced_length_alone_makes_it_keep_nothing) {
  session_.receive(Bytes{100, 0, 0, 0});
  EXPECT_EQ(frame(), "none");
  EXPECT_EQ(session_.wanted(), 100u);
  EXPECT_LT(session_.buffered(), 64u);
}

}  // namespace
}  // namespace enclayer::net
