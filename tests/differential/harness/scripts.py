"""Scripts and functions for the family of that name, and pools that give them to templates."""
import hashlib

from words import ALL_KEYS, pool, pool_of_words

SCRIPTS = [text.strip().encode() for text in """
return redis.call('GET', KEYS[1])
return redis.pcall('GET', KEYS[1])
return redis.call('SET', KEYS[1], ARGV[1])
return {redis.call('SET', KEYS[1], ARGV[1]), redis.call('GET', KEYS[1])}
return redis.call('INCRBY', KEYS[1], ARGV[2])
local r = redis.pcall('INCRBY', KEYS[1], ARGV[2]); if type(r) == 'table' then return r.err end return r
return redis.pcall('INCRBY', KEYS[1], ARGV[2])
return redis.call('RPUSH', KEYS[1], unpack(ARGV))
return redis.call('LRANGE', KEYS[1], 0, -1)
return #redis.call('LRANGE', KEYS[1], 0, -1)
return redis.call('TYPE', KEYS[1])
return redis.call('TYPE', KEYS[1]).ok
return redis.call('HSET', KEYS[1], 'f', ARGV[1])
return redis.call('HGET', KEYS[1], 'f')
return redis.call('ZADD', KEYS[2], tonumber(ARGV[2]) or 0, ARGV[1])
return redis.call('ZSCORE', KEYS[2], ARGV[1])
redis.call('SET', KEYS[1], ARGV[1]); return redis.error_reply('MY own error')
redis.call('SET', KEYS[1], ARGV[1]); error('oops')
error({err='MINE this'})
return redis.status_reply('FINE')
return redis.error_reply('WRONG')
return {err='ERR x'}
return {ok='yes'}
return {1, 2, {3, 'four'}, nil, 5}
return {1, 2.9, -2.9, true, false, 'x'}
return nil
return false
return true
return 3.99
return -0.5
return 'a' .. ARGV[1]
return ARGV
return KEYS
return #ARGV + #KEYS
return tonumber(ARGV[2])
return tostring(tonumber(ARGV[2]))
return redis.sha1hex(ARGV[1])
return redis.call('FOO')
return redis.call('SET', KEYS[1])
return redis.call()
return redis.call(1)
return redis.call('SET', KEYS[1], {})
return redis.call('SET', KEYS[1], 1.5)
return redis.call('SUBSCRIBE', 'x')
return redis.call('BLPOP', KEYS[1], 0)
return redis.call('MULTI')
return redis.call('EXPIRE', KEYS[1], 100000)
return redis.call('DEL', KEYS[1], KEYS[2])
return redis.call('EXISTS', KEYS[1])
redis.setresp(3); return redis.call('HGETALL', KEYS[1])
redis.setresp(3); return type(redis.call('GET', 'nothing'))
redis.setresp(4)
redis.setresp(3); return {double=3.25}
redis.setresp(3); return {map={a=1}}
redis.setresp(3); return {set={a=true}}
redis.setresp(3); return redis.call('ZSCORE', KEYS[2], ARGV[1])
redis.setresp(3); return redis.call('SISMEMBER', KEYS[1], ARGV[1])
return cjson.encode({1, 2, 'x', {1.5}})
return cjson.encode(ARGV)
return cjson.decode('[1, 2.5, "x", null, true, {}]')
return cjson.decode(ARGV[1])
return cjson.encode({[1]=1, [2]=2})
return cjson.encode(tonumber(ARGV[2]))
return cjson.encode(cjson.decode('{"a":[]}'))
return cmsgpack.pack(ARGV)
return cmsgpack.unpack(cmsgpack.pack({1, 'a', {2}}))
return cmsgpack.pack(tonumber(ARGV[2]))
return cmsgpack.pack(1, 1.5, 'x', true, nil)
return {cmsgpack.unpack(ARGV[1])}
return struct.pack('>I2', 258)
return struct.pack('<i4d', 7, 1.5)
return {struct.unpack('>I2', struct.pack('>I2', 258))}
return struct.size('i4i8')
return {struct.unpack('>I4', ARGV[1])}
return bit.band(0xff, 15) + bit.lshift(1, 4)
return bit.tohex(255)
return bit.bnot(tonumber(ARGV[2]))
return math.floor(3.7) + math.max(1, 2)
return string.format('%5.2f|%s|%d|%q', 3.14159, ARGV[1], 42, 'x"y')
return string.rep('ab', 3)
return {string.find('hello', 'l+')}
return string.gsub('hello', 'l', 'L')
return table.concat(ARGV, ',')
local t = {}; for i = 1, 5 do t[i] = i * i end; return t
local t = {3, 1, 2}; table.sort(t); return t
return x
x = 1
print = 1
return _G.foo
return redis.foo
return redis.log(redis.LOG_WARNING)
return redis.REDIS_VERSION_NUM ~= nil
return redis.replicate_commands()
return redis.set_repl(redis.REPL_ALL)
return redis.set_repl(17)
return redis.acl_check_cmd('SET', 'x', 'y')
return redis.acl_check_cmd('FOO')
return redis.breakpoint()
return setmetatable({}, {__index=function() return 1 end}).x
return getmetatable('').__name
return loadstring('return 1 + 1')()
return pcall(function() error('x') end)
return select('#', pcall(redis.call, 'FOO'))
return {pcall(redis.call, 'GET')}
return {tostring(nil), tostring(true), tostring(12), tostring(1e15), tostring(1e16), tostring(0.1)}
return 1e15
return 9007199254740993
return 1/0
return 0/0
return tostring(1/0)
return math.huge
return 2^53
return -2^63
retrun 1
return 1 +
return 'unfinished
local a = redis.call('GET', KEYS[1]); if a then return a .. '!' else return 'none' end
return redis.call('get', KEYS[1])
return redis.call('SELECT', 1)
return redis.call('SELECT', 99)
return redis.call('PING')
return redis.call('ECHO', ARGV[1])
return redis.call('SORT', KEYS[1], 'ALPHA')
return redis.call('XADD', KEYS[1], '5-*', 'a', 'b')
return redis.call('GEOPOS', KEYS[2], ARGV[1])
return redis.call('INCRBYFLOAT', KEYS[1], '0.1')
return redis.call('EVAL', 'return 1', 0)
return redis.call('SCRIPT', 'FLUSH')
return redis.call('CONFIG', 'GET', 'port')
return redis.call('PUBLISH', 'c', ARGV[1])
return unpack({1, 2, 3})
return os.clock ~= nil
return os.time
return type(os), type(io), type(require), type(dofile), type(package)
return {type(os), type(io), type(require), type(dofile), type(package), type(debug), type(newproxy), type(collectgarbage), type(coroutine)}
return #string.dump(function() end) > 0
local f = function(n) if n == 0 then return 0 end return 1 end; return f(3)
while true do break end return 7
goto x
""".splitlines() if text.strip()]
SCRIPTS += [b"#!lua\nreturn 1", b"#!lua flags=no-writes\nreturn redis.call('SET', KEYS[1], 1)", b"#!lua flags=no-writes\nreturn redis.call('GET', KEYS[1])",
            b"#!lua flags=bad\nreturn 1", b"#!lua name=x\nreturn 1", b"#!python\nreturn 1", b"#!lua flags=allow-stale,no-cluster\nreturn 2", b"#!lua", b"#!",
            b"return '\\0\\255'", b"return {1,\n2}\n", b"", b"-- nothing", b"error('two\\nlines')", b"local x = 1\nlocal y = nil + x"]
PUSH_SCRIPTS = [b"return 1", b"return {1,{2,{3,{4}}}}", b"redis.setresp(3); return true", b"redis.setresp(3); return false", b"return redis.call('DBSIZE') >= 0",
                b"redis.setresp(3); return {big_number='1234567890123456789012345'}", b"redis.setresp(3); return {verbatim_string={format='txt',string='hi'}}",
                b"redis.setresp(3); return redis.call('CONFIG','GET','none')", b"return {big_number='12'}", b"return {double=1}", b"return {map={1,2}}"]


def _library(name, body):
    return b"#!lua name=%s\n%s" % (name, body)


_F1 = b"redis.register_function('f1', function(keys, args) return redis.call('SET', keys[1], args[1]) end)"
_F2 = b"redis.register_function('f2', function(keys, args) return {#keys, #args, keys[1], args[1]} end)"
_RO = b"redis.register_function{function_name='ro', callback=function(keys, args) return redis.call('GET', keys[1]) end, flags={'no-writes'}, description='reads'}"
LIBRARIES = [_library(b"mylib", _F1), _library(b"mylib", _F1 + b"\n" + _RO), _library(b"mylib", _F2), _library(b"other", _F2), _library(b"other", _RO),
             _library(b"other", _F1), _library(b"mylib", b"return 1"), _library(b"mylib", b"redis.call('PING')"), _library(b"bad name", _F1), b"#!lua\n" + _F1, _F1,
             b"#!python name=x\n", b"#!lua name=mylib name=x\n" + _F1, _library(b"mylib", b"x = 1"), _library(b"mylib", b"redis.register_function('f1')"),
             _library(b"mylib", b"redis.register_function('f 1', function() end)"), _library(b"mylib", _F1 + _F1), _library(b"mylib", b"oops("),
             _library(b"mylib", b"redis.register_function{function_name='f1', callback=function() end, flags={'bad'}}"),
             _library(b"mylib", b"redis.register_function{function_name='f1', foo=1}"), _library(b"mylib", b"redis.register_function(1, 2, 3)"), b"", b"#!lua name="]


@pool
def script(g):
    return g.choice(SCRIPTS)


@pool
def pushscript(g):
    return g.choice(PUSH_SCRIPTS)


_LOADED = SCRIPTS[:12]


@pool
def loadedscript(g):
    """Few, so that EVALSHA finds them."""
    return g.choice(_LOADED) if g.random() < 0.9 else g.choice(SCRIPTS)


@pool
def scriptsha(g):
    return hashlib.sha1(g.choice(_LOADED)).hexdigest().encode() if g.random() < 0.9 else g.choice([b"", b"0" * 40, b"X" * 40])


@pool
def library(g):
    return g.choice(LIBRARIES[:6]) if g.random() < 0.6 else g.choice(LIBRARIES)


@pool
def scriptincr(_):
    return b"return redis.call('INCR', KEYS[1])"


@pool
def scriptpush(_):
    return b"return redis.call('RPUSH', KEYS[1], 'a', 'b')"


@pool_of_words
def numberofkeys(g, out):
    out.append(g.choice([b"0", b"1", b"1", b"1", b"2", b"3", b"-1", b"abc"]))
    out.append(g.choice(ALL_KEYS))
