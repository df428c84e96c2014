#include "node/pubsub/channels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "node/resp/glob.h"

namespace understudy::pubsub {
namespace {

class Listener final : public Subscriber {
 public:
  using Subscriber::Subscriber;
  void OnMessage(std::string_view head, const std::shared_ptr<const std::string>& body) override {
    heard.push_back(std::string(head) + *body);
  }
  std::vector<std::string> Take() { return std::exchange(heard, {}); }
  std::vector<std::string> heard;
};

std::string Message(const std::string& channel, const std::string& text, const std::string& head = "3\r\n$7\r\nmessage\r\n") {
  return head + "$" + std::to_string(channel.size()) + "\r\n" + channel + "\r\n$" + std::to_string(text.size()) + "\r\n" +
         text + "\r\n";
}

using Heard = std::vector<std::string>;

TEST(Channels, AMessageReachesThoseWhoListen) {
  Channels channels(2);
  std::vector<uint32_t> woken;
  channels.OnMail([&](uint32_t worker) { woken.push_back(worker); });
  Listener a(0), b(1), c(1);
  EXPECT_FALSE(channels.Used());
  EXPECT_EQ(channels.Publish("news", "x", false), 0u);
  EXPECT_TRUE(channels.Subscribe(a, Kind::kChannel, "news"));
  EXPECT_FALSE(channels.Subscribe(a, Kind::kChannel, "news"));
  EXPECT_TRUE(channels.Subscribe(b, Kind::kPattern, "n*"));
  EXPECT_TRUE(channels.Subscribe(c, Kind::kShardChannel, "news"));
  EXPECT_TRUE(channels.Used());

  EXPECT_EQ(channels.Publish("news", "one", false), 2u);
  EXPECT_EQ(channels.Publish("night", "two", false), 1u);
  EXPECT_EQ(channels.Publish("news", "three", true), 1u);
  EXPECT_TRUE(woken.empty());
  channels.Wake();
  channels.Wake();
  EXPECT_EQ(woken, (std::vector<uint32_t>{0, 1}));
  EXPECT_TRUE(a.heard.empty());
  channels.Hand(0);
  channels.Hand(1);
  const std::string pattern = "4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n";
  EXPECT_EQ(a.Take(), Heard{Message("news", "one")});
  EXPECT_EQ(b.Take(), (Heard{Message("news", "one", pattern), Message("night", "two", pattern)}));
  EXPECT_EQ(c.Take(), Heard{Message("news", "three", "3\r\n$8\r\nsmessage\r\n")});

  EXPECT_EQ(channels.CountListeners(Kind::kChannel, "news"), 1u);
  EXPECT_EQ(channels.CountListeners(Kind::kChannel, "n*"), 0u);
  EXPECT_EQ(channels.Names(Kind::kChannel, "*"), Heard{"news"});
  EXPECT_EQ(channels.Names(Kind::kShardChannel, "x*"), Heard{});
  EXPECT_EQ(channels.CountNames(Kind::kPattern), 1u);
  for (Listener* listener : {&a, &b, &c}) channels.RemoveAll(*listener);
  EXPECT_FALSE(channels.Used());
  EXPECT_EQ(channels.CountNames(Kind::kChannel), 0u);
  EXPECT_EQ(a.MemoryBytes(), 0u);
}

TEST(Channels, WhatWasPublishedBeforeAChangeIsHandedOutBeforeIt) {
  Channels channels(1);
  Listener a(0), b(0);
  channels.Subscribe(a, Kind::kChannel, "c");
  EXPECT_EQ(channels.Publish("c", "one", false), 1u);
  // b was not there when it was published; a still was.
  channels.Subscribe(b, Kind::kChannel, "c");
  EXPECT_EQ(a.Take(), Heard{Message("c", "one")});
  EXPECT_EQ(channels.Publish("c", "two", false), 2u);
  channels.Unsubscribe(a, Kind::kChannel, "c");
  EXPECT_EQ(a.Take(), Heard{Message("c", "two")});
  EXPECT_EQ(channels.Publish("c", "three", false), 1u);
  channels.Unsubscribe(b, Kind::kChannel, "c");
  EXPECT_EQ(b.Take(), (Heard{Message("c", "two"), Message("c", "three")}));
  channels.Hand(0);
  EXPECT_TRUE(a.heard.empty() && b.heard.empty());
}

TEST(Channels, ItIsCrowdedUntilTheMailIsHandedOut) {
  Channels channels(2);
  Listener a(0), b(1);
  channels.Subscribe(a, Kind::kChannel, "c");
  channels.Subscribe(b, Kind::kChannel, "c");
  const std::string text(1024 * 1024, 'x');
  for (int i = 0; i < 3; ++i) channels.Publish("c", text, false);
  EXPECT_FALSE(channels.Crowded());
  for (int i = 0; i < 3; ++i) channels.Publish("c", text, false);
  EXPECT_TRUE(channels.Crowded());
  channels.Hand(0);
  EXPECT_TRUE(channels.Crowded());
  channels.Hand(1);
  EXPECT_FALSE(channels.Crowded());
  EXPECT_EQ(a.heard.size(), 6u);
  channels.RemoveAll(a);
  channels.RemoveAll(b);
}

// Who hears what is what sets of names say, whatever the order of changes.
TEST(Channels, AgreesWithSetsOfNames) {
  std::mt19937_64 random(1);
  constexpr uint32_t kWorkers = 3;
  Channels channels(kWorkers);
  std::vector<std::unique_ptr<Listener>> listeners;
  for (uint32_t i = 0; i < 12; ++i) listeners.push_back(std::make_unique<Listener>(i % kWorkers));
  const std::string channel_names[] = {"a", "ab", "b", "abc"}, patterns[] = {"a*", "*b", "?", "*"};
  std::map<Listener*, std::set<std::string>> model[kKinds];
  std::map<Listener*, Heard> expected;
  for (int step = 0; step < 30'000; ++step) {
    Listener* const who = listeners[random() % listeners.size()].get();
    const auto kind = static_cast<Kind>(random() % kKinds);
    const std::string& name = kind == Kind::kPattern ? patterns[random() % 4] : channel_names[random() % 4];
    auto& names = model[static_cast<size_t>(kind)][who];
    switch (random() % 8) {
      case 0:
      case 1:
        ASSERT_EQ(channels.Subscribe(*who, kind, name), names.insert(name).second);
        break;
      case 2:
        ASSERT_EQ(channels.Unsubscribe(*who, kind, name), names.erase(name) > 0);
        break;
      case 3:
        channels.Hand(static_cast<uint32_t>(random() % kWorkers));
        break;
      case 4:
        if (random() % 20 > 0) break;
        channels.RemoveAll(*who);
        for (auto& of_kind : model) of_kind[who].clear();
        break;
      default: {
        const std::string& channel = channel_names[random() % 4];
        const std::string text = std::to_string(step);
        const bool sharded = random() % 4 == 0;
        size_t receivers = 0;
        const auto hear = [&](Listener* listener, const std::string& message) {
          expected[listener].push_back(message);
          ++receivers;
        };
        for (auto& listener : listeners) {
          if (model[sharded ? 2 : 0][listener.get()].contains(channel)) {
            hear(listener.get(), sharded ? Message(channel, text, "3\r\n$8\r\nsmessage\r\n") : Message(channel, text));
          }
          for (const std::string& pattern : model[1][listener.get()]) {
            if (sharded || !resp::GlobMatch(pattern, channel)) continue;
            hear(listener.get(), Message(channel, text, "4\r\n$8\r\npmessage\r\n$" + std::to_string(pattern.size()) +
                                                            "\r\n" + pattern + "\r\n"));
          }
        }
        ASSERT_EQ(channels.Publish(channel, text, sharded), receivers);
      }
    }
  }
  for (uint32_t worker = 0; worker < kWorkers; ++worker) channels.Hand(worker);
  for (auto& listener : listeners) {
    // Which of several patterns comes first is left open.
    Heard heard = listener->Take(), wanted = expected[listener.get()];
    std::sort(heard.begin(), heard.end());
    std::sort(wanted.begin(), wanted.end());
    ASSERT_EQ(heard, wanted);
    channels.RemoveAll(*listener);
  }
}

// Workers change their subscriptions while others publish: each counts as many receivers as hear it.
TEST(Channels, NothingIsLostBetweenThreads) {
  constexpr uint32_t kWorkers = 3;
  constexpr int kMessages = 3000;
  Channels channels(kWorkers);
  std::atomic<int> publishing{2};
  std::atomic<uint64_t> counted{0}, heard{0};
  std::vector<std::thread> threads;
  for (int p = 0; p < 2; ++p) {
    threads.emplace_back([&, p] {
      for (int i = 0; i < kMessages; ++i) counted += channels.Publish(i % 2 ? "even" : "odd", std::to_string(p), false);
      --publishing;
    });
  }
  for (uint32_t worker = 0; worker < kWorkers; ++worker) {
    threads.emplace_back([&, worker] {
      std::mt19937_64 random(worker);
      std::vector<std::unique_ptr<Listener>> listeners;
      for (int i = 0; i < 5; ++i) listeners.push_back(std::make_unique<Listener>(worker));
      while (publishing > 0) {
        Listener& who = *listeners[random() % listeners.size()];
        const Kind kind = random() % 2 ? Kind::kChannel : Kind::kPattern;
        const char* const name = kind == Kind::kPattern ? "*" : random() % 2 ? "even" : "odd";
        random() % 2 ? channels.Subscribe(who, kind, name) : channels.Unsubscribe(who, kind, name);
        if (random() % 3 == 0) channels.Hand(worker);
      }
      channels.Hand(worker);
      for (auto& listener : listeners) {
        channels.RemoveAll(*listener);
        heard += listener->heard.size();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counted, heard);
  EXPECT_FALSE(channels.Used());
}

}  // namespace
}  // namespace understudy::pubsub
