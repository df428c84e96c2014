// The RDB format: numbers shared by writer and reader. Source: the format as Redis 2.4 to 8 and Valkey 8 to 9
// write it; versions by name: 9 = Redis 5 to 6.2, 10 = 7.0, 11 = 7.2 and Valkey 7.2 to 8.1, 12 = Redis 7.4 to
// 8.4, 13 = 8.6, 14 = 8.8, 80 = Valkey 9.0, 81 = 9.2.
//
//   file    = magic aux* db* 0xFF crc64
//   magic   = "REDIS" + 4 digits | "VALKEY" + 3 digits
//   aux     = 0xFA string string
//   db      = 0xFE length [0xFB length length] key*
//   key     = [0xFC 8 bytes ms | 0xFD 4 bytes s] [0xF8 length | 0xF9 byte] type string value
//   length  = 00xxxxxx | 01xxxxxx + 1 byte | 0x80 + 4 bytes big-endian | 0x81 + 8 bytes big-endian
//   string  = length bytes | 0xC0 int8 | 0xC1 int16 LE | 0xC2 int32 LE | 0xC3 length length lzf
//   crc64   = 8 bytes LE over all before it; 0 = not computed
//   dump    = type value version(2 bytes LE) crc64(8 bytes LE): DUMP and RESTORE
#pragma once

#include <cstdint>

namespace understudy::persist {

inline constexpr int kRdbVersion = 11;    // what we write
// For readers that may be older than Redis 7.2 (loaders refuse a larger number than their own): without listpacks.
inline constexpr int kOldRdbVersion = 9;
// For own nodes and Valkey from 9.0 on: hashes whose fields have a TTL keep it.
inline constexpr int kValkeyRdbVersion = 80;
// From here on the header says VALKEY, and types from 22 on have Valkey's meaning.
inline constexpr int kFirstValkeyVersion = 80;

inline constexpr uint8_t kOpSlotInfo = 244;
inline constexpr uint8_t kOpFunction2 = 245;
inline constexpr uint8_t kOpFunctionPreGa = 246;
inline constexpr uint8_t kOpModuleAux = 247;
inline constexpr uint8_t kOpIdle = 248;
inline constexpr uint8_t kOpFreq = 249;
inline constexpr uint8_t kOpAux = 250;
inline constexpr uint8_t kOpResizeDb = 251;
inline constexpr uint8_t kOpExpireMs = 252;
inline constexpr uint8_t kOpExpireSeconds = 253;
inline constexpr uint8_t kOpSelectDb = 254;
inline constexpr uint8_t kOpEof = 255;

// Types. In brackets what follows the key; "blob" is a string with the bytes of a compact form.
inline constexpr uint8_t kTypeString = 0;
inline constexpr uint8_t kTypeList = 1;              // count, strings
inline constexpr uint8_t kTypeSet = 2;               // count, strings
inline constexpr uint8_t kTypeZset = 3;              // count, (string, score as text)
inline constexpr uint8_t kTypeHash = 4;              // count, (field, value)
inline constexpr uint8_t kTypeZset2 = 5;             // count, (string, score: 8 bytes)
inline constexpr uint8_t kTypeHashZipmap = 9;        // blob
inline constexpr uint8_t kTypeListZiplist = 10;      // blob
inline constexpr uint8_t kTypeSetIntset = 11;        // blob
inline constexpr uint8_t kTypeZsetZiplist = 12;      // blob of (member, score)
inline constexpr uint8_t kTypeHashZiplist = 13;      // blob of (field, value)
inline constexpr uint8_t kTypeListQuicklist = 14;    // count, ziplists
inline constexpr uint8_t kTypeStream = 15;           // as all streams: types/stream_rdb.h
inline constexpr uint8_t kTypeHashListpack = 16;     // blob, since 10
inline constexpr uint8_t kTypeZsetListpack = 17;     // blob, since 10
inline constexpr uint8_t kTypeListQuicklist2 = 18;   // count, (kNodePlain, string | kNodePacked, listpack), since 10
inline constexpr uint8_t kTypeStream2 = 19;          // since 10
inline constexpr uint8_t kTypeSetListpack = 20;      // blob, since 11
inline constexpr uint8_t kTypeStream3 = 21;          // since 11
inline constexpr uint8_t kTypeHash2 = 22;            // Valkey 80: count, (field, value, expiry: 8 bytes ms, -1 none)
inline constexpr uint8_t kTypeHashMetadata = 24;     // Redis 12: base: 8 bytes, count, (expiry - base + 1 or 0, field, value)
inline constexpr uint8_t kTypeHashListpackEx = 25;   // Redis 12: base: 8 bytes, blob of (field, value, expiry or 0)
inline constexpr uint64_t kNodePlain = 1, kNodePacked = 2;

// Auxiliary fields we write beside Redis's own (redis-ver, redis-bits, ctime, used-mem).
inline constexpr char kAuxReplId[] = "repl-id";
inline constexpr char kAuxReplOffset[] = "repl-offset";
inline constexpr char kAuxReplStreamDb[] = "repl-stream-db";
inline constexpr char kAuxDataset[] = "understudy-dataset";
inline constexpr char kAuxEpoch[] = "understudy-epoch";

}  // namespace understudy::persist
