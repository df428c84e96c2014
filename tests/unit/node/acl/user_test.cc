#include "node/acl/user.h"

#include <gtest/gtest.h>

#include "tests/unit/node/acl/acl_fixture.h"

namespace understudy::acl {
namespace {

constexpr std::string_view kHashOfSecret = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

class UserTest : public ::testing::Test {
 protected:
  // The first error, or "".
  std::string Apply(const std::vector<std::string_view>& rules) {
    return std::string(user_.ApplyAll({commands_, all_channels_}, rules).message());
  }
  std::string Described(const std::vector<std::string_view>& rules) {
    user_ = User("bob", {commands_, all_channels_});
    EXPECT_EQ(Apply(rules), "");
    return user_.Describe();
  }
  uint32_t Number(std::string_view command) const { return commands_.Find(command).value(); }
  Denial Check(std::string_view command, const std::vector<KeyUse>& keys = {},
               const std::vector<ChannelUse>& channels = {},
               const std::vector<std::string_view>& arguments = {}) const {
    return user_.Check({Number(command), arguments, keys, channels}).denial;
  }

  const CommandList commands_ = SomeCommands();
  bool all_channels_ = false;
  User user_{"bob", {commands_}};
};

TEST_F(UserTest, ANewUserMayNothingAndTheDefaultUserEverything) {
  EXPECT_EQ(user_.Describe(), "off sanitize-payload resetchannels -@all");
  EXPECT_EQ(Check("get"), Denial::kCommand);
  EXPECT_EQ(Check("auth"), Denial::kNone) << "always";
  EXPECT_FALSE(user_.everything());
  const User first = User::Default({commands_});
  EXPECT_EQ(first.Describe(), "on nopass sanitize-payload ~* &* +@all");
  EXPECT_TRUE(first.everything());
  EXPECT_TRUE(first.open());
}

TEST_F(UserTest, DatabasesAreNamedAnewByEachRule) {
  EXPECT_EQ(Described({"+@all", "db=3,0,3"}), "off sanitize-payload resetchannels db=0,3 +@all");
  EXPECT_EQ(Described({"db=3", "db=1"}), "off sanitize-payload resetchannels db=1 -@all");
  EXPECT_EQ(Described({"db=3", "alldbs"}), "off sanitize-payload resetchannels -@all");
  EXPECT_EQ(Described({"resetdbs"}), "off sanitize-payload resetchannels resetdbs -@all");
  for (const std::string_view wrong : {"db=", "db=,0", "db=0,", "db=0,,1", "db=a", "db=1a"}) {
    EXPECT_EQ(Apply({wrong}), "Error in ACL SETUSER modifier '" + std::string(wrong) + "': Syntax error");
  }
  for (const std::string_view wrong : {"db=-1", "db=12345678987654321"}) {
    EXPECT_EQ(Apply({wrong}),
              "Error in ACL SETUSER modifier '" + std::string(wrong) + "': The provided database ID is out of range");
  }
}

TEST_F(UserTest, ACommandIsAllowedWhereOneSelectorAllowsAllItsDatabases) {
  const auto check = [&](std::string_view command, std::vector<DatabaseUse> databases) {
    return user_.Check({Number(command), {}, {}, {}, databases});
  };
  ASSERT_EQ(Apply({"+@all", "~*", "&*", "db=0,1"}), "");
  EXPECT_FALSE(user_.everything());
  EXPECT_FALSE(user_.AllowsAnyArguments(Number("get")));
  EXPECT_EQ(check("get", {{1, 0}}).denial, Denial::kNone);
  EXPECT_EQ(check("get", {{2, 0}}).denial, Denial::kDatabase);
  EXPECT_EQ(check("get", {{0, 0}, {2, 3}}).argument, 3u);
  EXPECT_EQ(check("get", {{kAllDatabases, 0}}).denial, Denial::kDatabase);
  EXPECT_EQ(check("get", {}).denial, Denial::kNone) << "it looks at no key";
  ASSERT_EQ(Apply({"-@all", "(db=2 +get ~*)"}), "");
  EXPECT_EQ(check("get", {{2, 0}}).denial, Denial::kNone);
  EXPECT_EQ(check("get", {{3, 0}}).denial, Denial::kCommand) << "the root selector's reason comes first";
}

TEST_F(UserTest, RulesArePrintedAsGivenWithoutThoseThatBecameVoid) {
  const std::pair<std::vector<std::string_view>, std::string> cases[] = {
      {{"on", "nopass", "~*", "&*", "+@all"}, "on nopass sanitize-payload ~* &* +@all"},
      {{"ON", "AllKeys", "ALLCHANNELS", "allcommands"}, "on sanitize-payload ~* &* +@all"},
      {{"+@all", "-@string", "-@slow", "+get"}, "off sanitize-payload resetchannels +@all -@string -@slow +get"},
      {{"+@all", "-@string", "-@slow", "+get", "-@string"},
       "off sanitize-payload resetchannels +@all -@slow +get -@string"},
      {{"-@string", "+@string"}, "off sanitize-payload resetchannels -@all +@string"},
      {{"+@STRING", "+@string", "+GET", "+get"}, "off sanitize-payload resetchannels -@all +@string +get"},
      {{"+config|get", "+config|SET", "-config"}, "off sanitize-payload resetchannels -@all -config"},
      {{"-config", "+config|GET"}, "off sanitize-payload resetchannels -@all -config +config|get"},
      {{"+select|0", "+select|1"}, "off sanitize-payload resetchannels -@all +select|0 +select|1"},
      {{"+select|0", "+select"}, "off sanitize-payload resetchannels -@all +select"},
      {{"+get", "+@all"}, "off sanitize-payload resetchannels +@all"},
      {{"+get", "nocommands"}, "off sanitize-payload resetchannels -@all"},
      {{"~a", "%R~b", "%w~c", "%rw~d", "%WR~e"}, "off sanitize-payload ~a %R~b %W~c ~d ~e resetchannels -@all"},
      {{"%R~a", "%W~a", "~b", "~b"}, "off sanitize-payload ~a ~b resetchannels -@all"},
      {{"~a", "allkeys", "resetkeys", "~b"}, "off sanitize-payload ~b resetchannels -@all"},
      {{"&a", "&b", "&a"}, "off sanitize-payload resetchannels &a &b -@all"},
      {{"&a", "allchannels", "resetchannels"}, "off sanitize-payload resetchannels -@all"},
      {{"skip-sanitize-payload"}, "off skip-sanitize-payload resetchannels -@all"},
      {{">secret", ">secret"}, "off sanitize-payload #" + std::string(kHashOfSecret) + " resetchannels -@all"},
      {{">secret", "<secret"}, "off sanitize-payload resetchannels -@all"},
      {{">secret", "nopass"}, "off nopass sanitize-payload resetchannels -@all"},
      {{"nopass", "resetpass"}, "off sanitize-payload resetchannels -@all"},
      {{"(~a +get)", "(+@all", "&x)"},
       "off sanitize-payload resetchannels -@all (~a resetchannels -@all +get) (resetchannels &x +@all)"},
      {{"()"}, "off sanitize-payload resetchannels -@all (resetchannels -@all)"},
      {{"(~a +get)", "+set", "clearselectors"}, "off sanitize-payload resetchannels -@all +set"},
      {{"on", ">secret", "~a", "&b", "+get", "(+set)", "reset"}, "off sanitize-payload resetchannels -@all"},
      {{"", "on", ""}, "on sanitize-payload resetchannels -@all"},
  };
  for (const auto& [rules, described] : cases) EXPECT_EQ(Described(rules), described);
}

TEST_F(UserTest, WhatIsWrongIsToldInRedisWords) {
  const std::string modifier = "Error in ACL SETUSER modifier '";
  const std::string syntax = "': Syntax error", unknown = "': Unknown command or category name in ACL";
  for (const std::string rule : {"foo", "%~a", "%RR~a", "%X~a", "~a b", "&a b", "+select|", "(foo)", ")"}) {
    EXPECT_EQ(Apply({rule}), modifier + rule + syntax);
  }
  for (const std::string rule :
       {"+foo", "-foo", "+@foo", "-@foo", "+", "-", "+config|foo", "-select|0", "+foo|bar", "(+foo)"}) {
    EXPECT_EQ(Apply({rule}), modifier + rule + unknown);
  }
  EXPECT_EQ(Apply({"+config|get|x"}), modifier + "+config|get|x': Allowing first-arg of a subcommand is not supported");
  EXPECT_EQ(Apply({"<none"}), modifier + "<none': The password you are trying to remove from the user does not exist");
  for (const std::string rule : {"#abc", "!abc", "#2BB80D537B1DA3E38BD30361AA855686BDE0EACD7162FEF6A25FE97BF527A25B"}) {
    EXPECT_EQ(
        Apply({rule}),
        modifier + rule +
            "': The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters");
  }
  EXPECT_TRUE(
      Apply({"~*", "~a"}).starts_with(modifier + "~a': Adding a pattern after the * pattern (or the 'allkeys' flag) "));
  EXPECT_TRUE(Apply({"&*", "&a"})
                  .starts_with(modifier + "&a': Adding a pattern after the * pattern (or the 'allchannels' flag) "));
  EXPECT_EQ(Apply({"on", "(+get", "~a"}), "Unmatched parenthesis in acl selector starting at '(+get'.");
}

TEST_F(UserTest, PasswordsAreComparedByTheirHash) {
  ASSERT_EQ(Apply({"on", ">secret", "#5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"}), "");
  EXPECT_TRUE(user_.MayLogIn("secret"));
  EXPECT_TRUE(user_.MayLogIn("password"));
  EXPECT_FALSE(user_.MayLogIn("Secret"));
  EXPECT_FALSE(user_.MayLogIn(""));
  ASSERT_EQ(Apply({"off"}), "");
  EXPECT_FALSE(user_.MayLogIn("secret")) << "a user who is off can't log in";
  ASSERT_EQ(Apply({"on", "!" + std::string(kHashOfSecret)}), "");
  EXPECT_FALSE(user_.MayLogIn("secret"));
  ASSERT_EQ(Apply({"nopass"}), "");
  EXPECT_TRUE(user_.MayLogIn("anything"));
  user_.SetOnlyPassword("secret");
  EXPECT_TRUE(user_.MayLogIn("secret"));
  EXPECT_FALSE(user_.MayLogIn("password"));
  user_.SetOnlyPassword("");
  EXPECT_TRUE(user_.open());
}

TEST_F(UserTest, CommandsAreAllowedByNameCategoryAndFirstArgument) {
  ASSERT_EQ(Apply({"allkeys", "allchannels", "+@string", "-set", "+config|get", "+select|0", "+last"}), "");
  EXPECT_EQ(Check("get"), Denial::kNone);
  EXPECT_EQ(Check("set"), Denial::kCommand);
  EXPECT_EQ(Check("config|get"), Denial::kNone);
  EXPECT_EQ(Check("config|set"), Denial::kCommand);
  EXPECT_EQ(Check("last"), Denial::kNone);
  EXPECT_EQ(Check("select", {}, {}, {"SELECT", "0"}), Denial::kNone);
  EXPECT_EQ(Check("select", {}, {}, {"SELECT", "1"}), Denial::kCommand);
  EXPECT_EQ(Check("select", {}, {}, {"SELECT"}), Denial::kCommand);
  EXPECT_FALSE(user_.AllowsAnyArguments(Number("select")));
  EXPECT_TRUE(user_.AllowsAnyArguments(Number("get")));
  ASSERT_EQ(Apply({"-select"}), "");
  EXPECT_EQ(Check("select", {}, {}, {"SELECT", "0"}), Denial::kCommand);
  ASSERT_EQ(Apply({"+@all", "-config"}), "");
  EXPECT_EQ(Check("config|get"), Denial::kCommand) << "a command's subcommands go with it";
  EXPECT_EQ(Check("del"), Denial::kNone);
  EXPECT_FALSE(user_.everything());
  ASSERT_EQ(Apply({"+config"}), "");
  EXPECT_TRUE(user_.everything()) << "nothing is left that is forbidden";
}

TEST_F(UserTest, KeysAreAllowedByPatternAndWhatIsDoneWithThem) {
  ASSERT_EQ(Apply({"+@all", "~all:*", "%R~read:*", "%W~write:*"}), "");
  constexpr Access kBoth = kReads | kWrites;
  EXPECT_EQ(Check("get", {{"all:1", kBoth, 1}}), Denial::kNone);
  EXPECT_EQ(Check("get", {{"read:1", kReads, 1}}), Denial::kNone);
  EXPECT_EQ(Check("get", {{"read:1", kWrites, 1}}), Denial::kKey);
  EXPECT_EQ(Check("get", {{"read:1", kBoth, 1}}), Denial::kKey);
  EXPECT_EQ(Check("get", {{"write:1", kWrites, 1}}), Denial::kNone);
  EXPECT_EQ(Check("get", {{"write:1", kReads, 1}}), Denial::kKey);
  EXPECT_EQ(Check("get", {{"write:1", 0, 1}}), Denial::kNone) << "what is only looked at needs any pattern";
  EXPECT_EQ(Check("get", {{"other", 0, 1}}), Denial::kKey);
  EXPECT_EQ(
      user_.Check({Number("get"), {}, std::vector<KeyUse>{{"all:1", kReads, 1}, {"other", kReads, 2}}, {}}).argument,
      2u);
}

TEST_F(UserTest, OneSelectorMustAllowTheWholeCommand) {
  ASSERT_EQ(Apply({"+get", "~a", "(+set ~b)", "(+get ~c)"}), "");
  EXPECT_EQ(Check("get", {{"a", kReads, 1}}), Denial::kNone);
  EXPECT_EQ(Check("get", {{"b", kReads, 1}}), Denial::kKey);
  EXPECT_EQ(Check("get", {{"c", kReads, 1}}), Denial::kNone);
  EXPECT_EQ(Check("set", {{"a", kWrites, 1}}), Denial::kKey);
  EXPECT_EQ(Check("set", {{"b", kWrites, 1}}), Denial::kNone);
  EXPECT_EQ(Check("del", {{"a", kWrites, 1}}), Denial::kCommand);
  EXPECT_EQ(Check("get", {{"a", kReads, 1}, {"c", kReads, 2}}), Denial::kKey);
  ASSERT_EQ(Apply({"(+@all allkeys allchannels)"}), "");
  EXPECT_TRUE(user_.everything());
}

TEST_F(UserTest, ChannelsAreAllowedByPatternButPatternsByTheLetter) {
  ASSERT_EQ(Apply({"+@all", "allkeys", "&news:*", "&x"}), "");
  EXPECT_EQ(Check("publish", {}, {{"news:1", false, 1}}), Denial::kNone);
  EXPECT_EQ(Check("publish", {}, {{"other", false, 1}}), Denial::kChannel);
  EXPECT_EQ(Check("psubscribe", {}, {{"news:*", true, 1}}), Denial::kNone);
  EXPECT_EQ(Check("psubscribe", {}, {{"news:1", true, 1}}), Denial::kChannel);
  EXPECT_TRUE(user_.AllowsChannel("x", false));
  EXPECT_FALSE(user_.AllowsChannel("y", false));
  EXPECT_FALSE(user_.AllowsAnyArguments(Number("publish")));
  all_channels_ = true;
  EXPECT_EQ(Described({}), "off sanitize-payload &* -@all") << "acl-pubsub-default allchannels";
  EXPECT_EQ(Described({"resetchannels", "reset"}), "off sanitize-payload &* -@all");
  EXPECT_EQ(Described({"(+get)"}), "off sanitize-payload &* -@all (&* -@all +get)");
}

TEST_F(UserTest, AccessToAllKeysNeedsASelectorThatAllowsTheCommandToo) {
  const auto may = [&](std::string_view command, Access access) {
    return user_.AllowsAllKeys({Number(command), {}, {}, {}}, access);
  };
  ASSERT_EQ(Apply({"+get", "~a", "(+set %R~*)"}), "");
  EXPECT_FALSE(may("get", kReads));
  EXPECT_TRUE(may("set", kReads));
  EXPECT_FALSE(may("set", kWrites));
  ASSERT_EQ(Apply({"allkeys"}), "");
  EXPECT_TRUE(may("get", kReads | kWrites));
}

TEST_F(UserTest, ASubscriberLosesWhatItsUserHasNoMore) {
  const auto loses = [&](const std::vector<std::string_view>& after, std::vector<std::string_view> channels,
                         std::vector<std::string_view> patterns) {
    User changed = user_;
    EXPECT_TRUE(changed.ApplyAll({commands_}, after).ok());
    return LosesChannels(user_, changed, {channels, patterns});
  };
  ASSERT_EQ(Apply({"&news:*", "&x"}), "");
  EXPECT_FALSE(loses({"&more"}, {"news:1"}, {"news:*"})) << "more than before";
  EXPECT_TRUE(loses({"resetchannels"}, {"news:1"}, {}));
  EXPECT_FALSE(loses({"resetchannels"}, {}, {})) << "it listens to nothing";
  EXPECT_FALSE(loses({"resetchannels", "&news:*"}, {"news:1"}, {"news:*"}));
  EXPECT_TRUE(loses({"resetchannels", "&news:1"}, {"news:1"}, {"news:*"}));
  EXPECT_FALSE(loses({"resetchannels", "allchannels"}, {"x"}, {"x"}));
  EXPECT_FALSE(loses({"resetchannels", "(&x)"}, {"x"}, {})) << "by another selector";
  ASSERT_EQ(Apply({"allchannels"}), "");
  EXPECT_TRUE(loses({"resetchannels", "&a"}, {"b"}, {}));
}

}  // namespace
}  // namespace understudy::acl
