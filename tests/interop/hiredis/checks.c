// What applications do with hiredis, against a primary, its replica and a node with a password. A check returns what went
// wrong, NULL if nothing did. Connections and replies are freed with the process.
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static const int kWaitS = 20;
static char problem[512];

// node: PRIMARY, REPLICA or LOCKED.
static redisContext* Connect(const char* node) {
  redisContext* c = redisConnectWithTimeout("127.0.0.1", atoi(getenv(node)), (struct timeval){kWaitS, 0});
  if (c != NULL && !c->err) redisSetTimeout(c, (struct timeval){kWaitS, 0});
  return c;
}

// The reply as one line: arrays in brackets, nil as (nil), no reply as what went wrong with the connection.
static void Draw(const redisContext* c, const redisReply* reply, char* out, size_t room) {
  if (room < 8) return;
  if (reply == NULL) {
    snprintf(out, room, "(%s)", c->errstr);
  } else if (reply->type == REDIS_REPLY_INTEGER) {
    snprintf(out, room, "%lld", reply->integer);
  } else if (reply->type == REDIS_REPLY_NIL) {
    snprintf(out, room, "(nil)");
  } else if (reply->type == REDIS_REPLY_ARRAY) {
    size_t used = (size_t)snprintf(out, room, "[");
    for (size_t i = 0; i < reply->elements && used + 8 < room; i++) {
      if (i > 0) out[used++] = ' ';
      Draw(c, reply->element[i], out + used, room - used);
      used += strlen(out + used);
    }
    if (used + 1 < room) snprintf(out + used, room - used, "]");
  } else {
    snprintf(out, room, "%s", reply->str);
  }
}

static const char* Compare(const redisContext* c, const redisReply* reply, const char* wanted) {
  char got[256] = "";
  Draw(c, reply, got, sizeof got);
  if (strcmp(got, wanted) == 0) return NULL;
  snprintf(problem, sizeof problem, "'%s' instead of '%s'", got, wanted);
  return problem;
}

#define EXPECT(c, wanted, ...)                                                       \
  do {                                                                               \
    const char* differs = Compare((c), redisCommand((c), __VA_ARGS__), (wanted));    \
    if (differs != NULL) return differs;                                             \
  } while (0)

#define EXPECT_NEXT(c, wanted)                                                       \
  do {                                                                               \
    void* next = NULL;                                                               \
    if (redisGetReply((c), &next) != REDIS_OK) next = NULL;                          \
    const char* differs = Compare((c), next, (wanted));                              \
    if (differs != NULL) return differs;                                             \
  } while (0)

static const char* Connects(void) {
  redisContext* c = Connect("PRIMARY");
  if (c == NULL || c->err) return c == NULL ? "no memory" : c->errstr;
  EXPECT(c, "PONG", "PING");
  EXPECT(c, "OK", "SET %s %b EX 100", "k", "a\0b", (size_t)3);
  redisReply* reply = redisCommand(c, "GET k");
  if (reply == NULL || reply->len != 3 || memcmp(reply->str, "a\0b", 3) != 0) return "bytes came back otherwise";
  EXPECT(c, "(nil)", "GET none");
  EXPECT(c, "OK", "SELECT 2");
  const char* words[] = {"SET", "k", "two words"};
  const char* differs = Compare(c, redisCommandArgv(c, 3, words, NULL), "OK");
  if (differs != NULL) return differs;
  EXPECT(c, "two words", "GET k");
  return NULL;
}

static const char* Password(void) {
  redisContext* c = Connect("LOCKED");
  EXPECT(c, "NOAUTH Authentication required.", "GET k");
  EXPECT(c, "WRONGPASS invalid username-password pair or user is disabled.", "AUTH wrong");
  EXPECT(c, "OK", "AUTH secret");
  EXPECT(c, "PONG", "PING");
  return NULL;
}

static const char* AclUser(void) {
  redisContext *c = Connect("PRIMARY"), *own = Connect("PRIMARY");
  EXPECT(c, "OK", "ACL SETUSER reader reset on >word ~app:* +get");
  EXPECT(own, "OK", "AUTH reader word");
  EXPECT(own, "(nil)", "GET app:x");
  EXPECT(own, "NOPERM No permissions to access a key", "GET other");
  EXPECT(own, "NOPERM User reader has no permissions to run the 'set' command", "SET app:x 1");
  EXPECT(c, "1", "ACL DELUSER reader");
  return NULL;
}

static const char* Pipeline(void) {
  redisContext* c = Connect("PRIMARY");
  for (int n = 0; n < 1000; n++) {
    redisAppendCommand(c, "SET p:%d %d", n, n);
    redisAppendCommand(c, "GET p:%d", n);
  }
  for (int n = 0; n < 1000; n++) {
    char wanted[16];
    snprintf(wanted, sizeof wanted, "%d", n);
    EXPECT_NEXT(c, "OK");
    EXPECT_NEXT(c, wanted);
  }
  redisAppendCommand(c, "LPUSH p:1 1");
  redisAppendCommand(c, "PING");
  EXPECT_NEXT(c, "WRONGTYPE Operation against a key holding the wrong kind of value");
  EXPECT_NEXT(c, "PONG");
  return NULL;
}

static const char* Transaction(void) {
  redisContext *c = Connect("PRIMARY"), *other = Connect("PRIMARY");
  EXPECT(c, "OK", "SET counter 1");
  EXPECT(c, "OK", "WATCH counter");
  EXPECT(other, "OK", "SET counter 5");
  EXPECT(c, "OK", "MULTI");
  EXPECT(c, "QUEUED", "INCR counter");
  EXPECT(c, "(nil)", "EXEC");
  EXPECT(c, "OK", "MULTI");
  EXPECT(c, "QUEUED", "INCR counter");
  EXPECT(c, "[6]", "EXEC");
  return NULL;
}

static const char* PubSub(void) {
  redisContext *c = Connect("PRIMARY"), *subscriber = Connect("PRIMARY");
  EXPECT(subscriber, "[subscribe news 1]", "SUBSCRIBE news");
  EXPECT(subscriber, "[psubscribe n* 2]", "PSUBSCRIBE n*");
  EXPECT(c, "2", "PUBLISH news hello");
  EXPECT_NEXT(subscriber, "[message news hello]");
  EXPECT_NEXT(subscriber, "[pmessage n* news hello]");
  return NULL;
}

static const char* BlockingPop(void) {
  redisContext *c = Connect("PRIMARY"), *waiting = Connect("PRIMARY");
  redisAppendCommand(waiting, "BLPOP jobs more %d", kWaitS);
  for (int done = 0; !done;) {
    if (redisBufferWrite(waiting, &done) != REDIS_OK) return waiting->errstr;
  }
  for (int turns = 0;; turns++) {
    redisReply* info = redisCommand(c, "INFO clients");
    if (info == NULL) return c->errstr;
    if (strstr(info->str, "blocked_clients:1\r") != NULL) break;
    if (turns == kWaitS * 100) return "BLPOP does not wait";
    freeReplyObject(info);
    usleep(10000);
  }
  EXPECT(c, "1", "RPUSH jobs one");
  EXPECT_NEXT(waiting, "[jobs one]");
  return NULL;
}

static const char* Scripts(void) {
  redisContext* c = Connect("PRIMARY");
  EXPECT(c, "OK", "SCRIPT FLUSH");
  EXPECT(c, "1", "DEL k");
  redisReply* missing = redisCommand(c, "EVALSHA 2b1f9e2e8f4d1c0b6a7d3e5f8c9b0a1d2e3f4a5b 1 k 3");
  if (missing == NULL || missing->type != REDIS_REPLY_ERROR || strncmp(missing->str, "NOSCRIPT ", 9) != 0) return "no NOSCRIPT";
  redisReply* sha = redisCommand(c, "SCRIPT LOAD %s", "return redis.call('INCRBY', KEYS[1], ARGV[1])");
  if (sha == NULL || sha->type != REDIS_REPLY_STRING) return "SCRIPT LOAD gave no digest";
  EXPECT(c, "3", "EVALSHA %s 1 k 3", sha->str);
  EXPECT(c, "[1 two (nil)]", "EVAL %s 0", "return {1, 'two', false}");
  return NULL;
}

static const char* StreamGroup(void) {
  redisContext* c = Connect("PRIMARY");
  EXPECT(c, "OK", "XGROUP CREATE events group 0 MKSTREAM");
  EXPECT(c, "1-1", "XADD events 1-1 n 1");
  EXPECT(c, "[[events [[1-1 [n 1]]]]]", "XREADGROUP GROUP group one COUNT 1 STREAMS events >");
  EXPECT(c, "[1 1-1 1-1 [[one 1]]]", "XPENDING events group");
  EXPECT(c, "1", "XACK events group 1-1");
  return NULL;
}

static const char* Scan(void) {
  redisContext* c = Connect("PRIMARY");
  EXPECT(c, "OK", "SELECT 5");
  EXPECT(c, "OK", "FLUSHDB");
  for (int n = 0; n < 500; n++) EXPECT(c, "OK", "SET s:%d 1", n);
  char cursor[32] = "0";
  size_t found = 0;
  do {
    redisReply* page = redisCommand(c, "SCAN %s MATCH s:* COUNT 50", cursor);
    if (page == NULL || page->type != REDIS_REPLY_ARRAY || page->elements != 2) return "SCAN gave no page";
    snprintf(cursor, sizeof cursor, "%s", page->element[0]->str);
    found += page->element[1]->elements;
  } while (strcmp(cursor, "0") != 0);
  return found == 500 ? NULL : "SCAN gave other than 500 keys of a table that nobody changed";
}

static const char* Structures(void) {
  redisContext* c = Connect("PRIMARY");
  EXPECT(c, "3", "ZADD board 1 a 2 b 3 c");
  EXPECT(c, "[c 3 b 2 a 1]", "ZRANGE board 0 -1 REV WITHSCORES");
  EXPECT(c, "2", "HSET user name ann age 7");
  EXPECT(c, "[1 -2]", "HEXPIRE user 100 FIELDS 2 name no");
  EXPECT(c, "2", "GEOADD sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania");
  EXPECT(c, "166.2742", "GEODIST sicily Palermo Catania km");
  EXPECT(c, "0", "SETBIT bits 7 1");
  EXPECT(c, "1", "BITCOUNT bits");
  return NULL;
}

static const char* Reconnects(void) {
  redisContext *c = Connect("PRIMARY"), *other = Connect("PRIMARY");
  redisReply* id = redisCommand(c, "CLIENT ID");
  if (id == NULL || id->type != REDIS_REPLY_INTEGER) return "CLIENT ID is no number";
  EXPECT(other, "1", "CLIENT KILL ID %lld", id->integer);
  if (redisCommand(c, "PING") != NULL) return "a connection that was closed answers";
  if (redisReconnect(c) != REDIS_OK) return c->errstr;
  EXPECT(c, "PONG", "PING");
  return NULL;
}

static const char* ReadOnly(void) {
  EXPECT(Connect("REPLICA"), "READONLY You can't write against a read only replica.", "SET k v");
  return NULL;
}

static const char* ReplicaReads(void) {
  redisContext* c = Connect("PRIMARY");
  EXPECT(c, "OK", "SET spread v");
  EXPECT(c, "1", "WAIT 1 %d", kWaitS * 1000);
  EXPECT(Connect("REPLICA"), "v", "GET spread");
  return NULL;
}

int main(void) {
  const struct {
    const char* name;
    const char* (*run)(void);
  } checks[] = {{"connects", Connects}, {"password", Password}, {"ACL user", AclUser}, {"pipeline", Pipeline}, {"MULTI with WATCH", Transaction},
                {"pub/sub", PubSub}, {"blocking pop", BlockingPop}, {"scripts", Scripts}, {"stream group", StreamGroup}, {"SCAN", Scan},
                {"sorted set, hash fields, geo, bitmap", Structures}, {"reconnects", Reconnects}, {"READONLY", ReadOnly},
                {"replica reads", ReplicaReads}};
  for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
    const char* wrong = checks[i].run();
    if (wrong == NULL) {
      printf("passed %s\n", checks[i].name);
    } else {
      printf("failed %s: %s\n", checks[i].name, wrong);
    }
    fflush(stdout);
  }
  printf("all checks were made\n");
  return 0;
}
