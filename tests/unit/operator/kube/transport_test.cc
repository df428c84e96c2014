#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "tests/support/temp_directory.h"
#include "tests/support/test_certificates.h"
#include "tests/unit/operator/kube/kube_test_env.h"

namespace understudy::kube {
namespace {

using test::Fault;

std::unique_ptr<Transport> Make(const std::string& which, TransportContext context) {
  if (which == "beast") return MakeBeastTransport(std::move(context));
  auto made = MakeCpprestTransport(std::move(context));
  CHECK(made.ok());
  return *std::move(made);
}

class TransportTest : public testing::TestWithParam<const char*> {
 protected:
  const Request get_{.method = "GET", .path = "/api/v1/namespaces/default/configmaps/a"};
};
INSTANTIATE_TEST_SUITE_P(Both, TransportTest, testing::Values("cpprest", "beast"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(TransportTest, CarriesBodyHeadersAndStatus) {
  KubeTestEnv env;
  auto transport = Make(GetParam(), env.Context(env.Plain()));
  const auto created =
      transport->Send({.method = "POST",
                       .path = "/api/v1/namespaces/default/configmaps?fieldManager=m",
                       .body = ConfigMap("a", "ü").dump(),
                       .content_type = "application/json"},
                      env.Soon());
  ASSERT_TRUE(created.ok()) << created.status().ToString();
  EXPECT_EQ(created->status, 201);
  EXPECT_EQ(created->headers.at("content-type"), "application/json");
  const auto got = transport->Send(get_, env.Soon());
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  EXPECT_EQ(ParseJson(got->body).ok() ? (*ParseJson(got->body))["data"]["key"] : Json(), "ü");
  const auto requests = env.server.Requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].headers.at("content-type"), "application/json");
  EXPECT_EQ(requests[0].headers.at("user-agent").rfind("understudy-operator/", 0), 0u);
  EXPECT_EQ(requests[0].headers.count("authorization"), 0u);
  EXPECT_NE(env.registry.Text().find("rest_client_requests_total{code=\"201\",method=\"POST\"} 1"),
            std::string::npos)
      << env.registry.Text();
}

// cpprest keeps a connection for the next request a moment after it has handed over the answer, on its own thread: who
// asks at once may be too early for it. Then two connections take turns.
TEST_P(TransportTest, KeepsConnections) {
  KubeTestEnv env;
  auto transport = Make(GetParam(), env.Context(env.Plain()));
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(transport->Send(get_, env.Soon()).ok());
  const auto requests = env.server.Requests();
  ASSERT_EQ(requests.size(), 30u);
  std::set<int> connections;
  for (const auto& request : requests) connections.insert(request.connection);
  EXPECT_LE(connections.size(), 3u);
}

TEST_P(TransportTest, EndsAtTheDeadlineWhenNoAnswerComes) {
  KubeTestEnv env;
  env.server.AddFault({.path = "configmaps", .action = Fault::Action::kHang});
  auto transport = Make(GetParam(), env.Context(env.Plain()));
  const MonoTime begin = env.clock.Mono();
  const auto got = transport->Send(get_, Deadline::In(env.clock, Milliseconds(200)));
  EXPECT_EQ(got.status().code(), Code::kUnavailable);
  EXPECT_LT(env.clock.Mono() - begin, Seconds(10));
  EXPECT_NE(env.registry.Text().find("code=\"<error>\""), std::string::npos);
  // The transport is as good as before.
  const auto next = transport->Send(get_, env.Soon());
  ASSERT_TRUE(next.ok()) << next.status().ToString();
  EXPECT_EQ(next->status, 404);
}

TEST_P(TransportTest, ReportsARefusedConnection) {
  KubeTestEnv env;
  auto transport = Make(GetParam(), env.Context(env.Plain()));
  env.server.Pause();
  EXPECT_EQ(transport->Send(get_, env.Soon()).status().code(), Code::kUnavailable);
  env.server.Resume();
  EXPECT_TRUE(transport->Send(get_, env.Soon()).ok());
}

TEST_P(TransportTest, RecoversWhenAKeptConnectionWasClosed) {
  KubeTestEnv env;
  auto transport = Make(GetParam(), env.Context(env.Plain()));
  ASSERT_TRUE(transport->Send(get_, env.Soon()).ok());
  env.server.CloseConnections();
  const auto again = transport->Send(get_, env.Soon());
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(again->status, 404);
}

TEST_P(TransportTest, DoesNotFollowRedirects) {
  KubeTestEnv env;
  env.server.AddFault({.status = 302, .headers = {{"Location", "/api/v1/elsewhere"}}});
  auto transport = Make(GetParam(), env.Context(env.Plain()));
  const auto got = transport->Send(get_, env.Soon());
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  EXPECT_EQ(got->status, 302);
  EXPECT_EQ(env.server.Requests().size(), 1u);
}

TEST_P(TransportTest, ReadsARotatedTokenAtOnceAfter401) {
  KubeTestEnv env;
  test::TempDirectory files;
  const std::string token_file = files.Write("token", "old\n");
  env.server.RequireToken("old");
  auto transport = Make(GetParam(), env.Context(env.Plain({.token_file = token_file})));
  EXPECT_EQ(transport->Send(get_, env.Soon())->status, 404);
  files.Write("token", "new\n");
  env.server.RequireToken("new");
  EXPECT_EQ(transport->Send(get_, env.Soon())->status, 404);
  EXPECT_EQ(env.server.Requests().size(), 3u) << "one refused attempt and its repetition";
  // With the token still wrong the refusal is the answer.
  env.server.RequireToken("newer");
  EXPECT_EQ(transport->Send(get_, env.Soon())->status, 401);
  EXPECT_EQ(env.server.Requests().size(), 4u);
}

TEST_P(TransportTest, AnswersManyThreads) {
  KubeTestEnv env;
  auto transport = Make(GetParam(), env.Context(env.Plain()));
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 20; ++k) {
        const auto got = transport->Send(get_, env.Soon());
        if (got.ok() && got->status == 404) ++good;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 160);
}

TEST_P(TransportTest, ChecksTheServerAndShowsItsCertificate) {
  test::TestAuthority authority, stranger;
  const auto server_cert = authority.Issue("server", "IP:127.0.0.1");
  const auto client_cert = authority.Issue("operator", "");
  KubeTestEnv env({.tls = test::FakeServerTls{server_cert.certificate, server_cert.key,
                                              authority.certificate()}});
  test::TempDirectory files;
  const Server where{.tls = true, .host = "127.0.0.1", .port = env.server.port()};
  const CredentialFiles good{.ca_file = files.Write("ca", authority.certificate()),
                             .certificate_file = files.Write("cert", client_cert.certificate),
                             .key_file = files.Write("key", client_cert.key)};
  auto transport = Make(GetParam(), env.Context(*Credentials::Explicit(where, good, env.clock)));
  const auto got = transport->Send(get_, env.Soon());
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  EXPECT_EQ(got->status, 404);

  CredentialFiles wrong_ca = good;
  wrong_ca.ca_file = files.Write("other-ca", stranger.certificate());
  auto fooled = Make(GetParam(), env.Context(*Credentials::Explicit(where, wrong_ca, env.clock)));
  EXPECT_EQ(fooled->Send(get_, env.Soon()).status().code(), Code::kUnavailable);

  // The certificate is for another address.
  const auto other = authority.Issue("server", "IP:127.0.0.9");
  env.server.SetTls({other.certificate, other.key, ""});
  env.server.CloseConnections();
  EXPECT_EQ(transport->Send(get_, env.Soon()).status().code(), Code::kUnavailable);

  // Authority and server certificate are replaced while we run.
  const auto rotated = stranger.Issue("server", "IP:127.0.0.1");
  env.server.SetTls({rotated.certificate, rotated.key, authority.certificate()});
  files.Write("ca", stranger.certificate());
  env.server.CloseConnections();
  const auto after = transport->Send(get_, env.Soon());
  ASSERT_TRUE(after.ok()) << after.status().ToString();
  EXPECT_EQ(after->status, 404);
}

TEST(CpprestTransport, RefusesAnIpv6Literal) {
  KubeTestEnv env;
  auto made = MakeCpprestTransport(
      env.Context(*Credentials::Explicit({.tls = false, .host = "::1", .port = 1}, {}, env.clock)));
  EXPECT_EQ(made.status().code(), Code::kInvalid);
}

TEST(CredentialsTest, InClusterNamesWhatIsMissing) {
  SystemClock clock;
  test::TempDirectory files;
  std::map<std::string, std::string> environment;
  const auto get = [&](const char* name) -> const char* {
    const auto it = environment.find(name);
    return it == environment.end() ? nullptr : it->second.c_str();
  };
  auto made = Credentials::InCluster(clock, files.path(), get);
  EXPECT_EQ(made.status().code(), Code::kInvalid);
  EXPECT_NE(made.status().message().find("KUBERNETES_SERVICE_HOST"), std::string_view::npos);
  environment = {{"KUBERNETES_SERVICE_HOST", "fd00::1"}, {"KUBERNETES_SERVICE_PORT", "443"}};
  made = Credentials::InCluster(clock, files.path(), get);
  EXPECT_NE(made.status().message().find("namespace"), std::string_view::npos);
  files.Write("namespace", "understudy-system\n");
  files.Write("token", "t1");
  files.Write("ca.crt", test::TestAuthority().certificate());
  made = Credentials::InCluster(clock, files.path(), get);
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_EQ((*made)->name_space(), "understudy-system");
  EXPECT_EQ((*made)->server().host, "kubernetes.default.svc");
  EXPECT_EQ((*made)->Token(), "t1");
  environment["KUBERNETES_SERVICE_PORT"] = "44x";
  EXPECT_EQ(Credentials::InCluster(clock, files.path(), get).status().code(), Code::kInvalid);
}

TEST(CredentialsTest, ReadsTheTokenAgainAfterAMinute) {
  FakeClock clock;
  test::TempDirectory files;
  auto made = Credentials::Explicit({.tls = false, .host = "h"},
                                    {.token_file = files.Write("token", "t1")}, clock);
  ASSERT_TRUE(made.ok());
  Credentials& credentials = **made;
  files.Write("token", "t2");
  EXPECT_EQ(credentials.Token(), "t1");
  clock.Advance(Seconds(59));
  EXPECT_EQ(credentials.Token(), "t1");
  clock.Advance(Seconds(1));
  EXPECT_EQ(credentials.Token(), "t2");
  // A moment in which the file is empty costs nothing.
  files.Write("token", "");
  clock.Advance(Seconds(60));
  EXPECT_EQ(credentials.Token(), "t2");
  EXPECT_FALSE(credentials.TokenRefused("t2"));
  EXPECT_TRUE(credentials.TokenRefused("t1"));
}

}  // namespace
}  // namespace understudy::kube
