#include "tests/unit/node/script/script_fixture.h"

namespace understudy::script {
namespace {

using BitTest = InterpreterTest;
using StructTest = InterpreterTest;

TEST_F(BitTest, OperationsAreOnSigned32Bits) {
  ExpectTexts({{"bit.tobit(0xffffffff)..''", "-1"},   {"bit.tobit(2^40+5)..''", "5"},
               {"bit.bnot(0)..''", "-1"},             {"bit.band(0xff,0x0f,3)..''", "3"},
               {"bit.bor(1,2,4)..''", "7"},           {"bit.bxor(5,1)..''", "4"},
               {"bit.lshift(1,31)..''", "-2147483648"}, {"bit.lshift(1,33)..''", "2"},
               {"bit.rshift(-1,28)..''", "15"},       {"bit.arshift(-16,2)..''", "-4"},
               {"bit.tohex(bit.rol(0x12345678,12))", "45678123"}, {"bit.tohex(bit.ror(0x12345678,12))", "67812345"},
               {"bit.tohex(bit.rol(1,0))", "00000001"}, {"bit.tohex(bit.bswap(0x12345678))", "78563412"},
               {"bit.tohex(255,-4)", "00FF"},         {"bit.tohex(255,2)", "ff"},
               {"bit.tohex(1,100)", "00000001"}});
  ExpectErrors({{"bit.band('x')", "bad argument #1 to 'band' (number expected, got string)"}});
}

TEST_F(StructTest, RoundTripsKeepValues) {
  ExpectTexts({{"struct.pack('>I2',258)", "\x01\x02"},
               {"struct.pack('<I2',258)", "\x02\x01"},
               {"struct.pack('<i3',-2)", "\xfe\xff\xff"},
               {"struct.pack('c2','abc')", "ab"},
               {"struct.size('!8bd')..''", "16"},
               {"struct.size('bhilT')..''", "23"},
               {"table.concat({struct.unpack('>bBhHiIlL', struct.pack('>bBhHiIlL',-1,255,-2,65535,-3,4294967295,-4,5))},' ')",
                "-1 255 -2 65535 -3 4294967295 -4 5 31"},
               {"table.concat({struct.unpack('<fd', struct.pack('<fd',0.5,0.1))},' ')", "0.5 0.1 13"},
               {"table.concat({struct.unpack('bc0', struct.pack('bc0',3,'abc'))},' ')", "abc 5"},
               {"table.concat({struct.unpack('>i32', struct.pack('>i32',7))},' ')", "7 33"},
               {"table.concat({struct.unpack('s', 'ab\\0cd')},' ')", "ab 4"}});
}

TEST_F(StructTest, WrongFormatsAndDataAreRefused) {
  ExpectErrors({{"struct.pack('z')", "bad argument #1 to 'pack' (invalid format option 'z')"},
                {"struct.pack('i33',1)", "integral size 33 is larger than limit of 32"},
                {"struct.pack('i99999999999',1)", "integral size overflow"},
                {"struct.pack('!3')", "alignment 3 is not a power of 2"},
                {"struct.pack('!0')", "alignment 0 is not a power of 2"},
                {"struct.unpack('i','abc')", "bad argument #2 to 'unpack' (data string too short)"},
                {"struct.unpack('i','abcd',2)", "bad argument #2 to 'unpack' (data string too short)"},
                {"struct.unpack('i','abcd',0)", "bad argument #3 to 'unpack' (offset must be 1 or greater)"},
                {"struct.unpack('i','abcd',-1)", "bad argument #2 to 'unpack' (data string too short)"},
                {"struct.pack('b')", "bad argument #2 to 'pack' (number expected, got nil)"},
                {"struct.unpack('s','abc')", "unfinished string in data"},
                {"struct.unpack('s','abc',9)", "bad argument #2 to 'unpack' (data string too short)"},
                {"struct.unpack('c0','abc')", "format 'c0' needs a previous size"},
                {"struct.unpack('dc0',struct.pack('d',1e300)..'abc')", "bad argument #2 to 'unpack' (data string too short)"},
                {"struct.unpack('dc0',struct.pack('d',-1)..'abc')", "bad argument #2 to 'unpack' (data string too short)"},
                {"struct.unpack('c2147483647','abc')", "bad argument #2 to 'unpack' (data string too short)"},
                {"struct.size('s')", "bad argument #1 to 'size' (option 's' has no fixed size)"},
                {"struct.size('c0')", "bad argument #1 to 'size' (option 'c0' has no fixed size)"}});
}

}  // namespace
}  // namespace understudy::script
