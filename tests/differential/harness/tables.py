"""What is drawn: a table of templates (template.py) per family. A level is the oldest peer that has the commands below it."""

STRINGS = {"7.0": """
10 SET string value < ( NX | XX ) | GET | ( EX seconds | PX milliseconds | EXAT farunixtime | PXAT farunixmilliseconds | KEEPTTL ) >
2 SET string value ( NX | XX | GET | KEEPTTL | EX later | PX latermilliseconds ) ( NX | XX | GET | KEEPTTL | EX seconds | EXAT unixtime ) [ ( GET | KEEPTTL | NX ) ]
10 GET string
2 GET key
2 GETSET string value
2 GETDEL string
4 GETEX string [ ( EX later | PX latermilliseconds | EXAT farunixtime | PXAT farunixmilliseconds | PERSIST ) ]
1 GETEX string ( EX seconds | PX milliseconds | EXAT unixtime | PXAT unixmilliseconds )
3 MGET { key }
3 MSET { string value }
2 MSETNX { key value }
2 SETNX string value
2 SETEX string seconds value
2 PSETEX string milliseconds value
6 APPEND string value
4 STRLEN string
5 SETRANGE string offset value
5 GETRANGE string index index
2 SUBSTR string index index
4 INCR string
4 DECR string
4 INCRBY string number
4 DECRBY string number
6 INCRBYFLOAT string float
6 SET string number
3 SET string float
4 LCS string string < LEN | IDX | MINMATCHLEN count | WITHMATCHLEN >
6 SETBIT bit bitoffset bit
4 GETBIT bit bitoffset
2 SETBIT string bitoffset bit
4 BITCOUNT bit [ index index [ ( BYTE | BIT ) ] ]
4 BITPOS bit bit [ index [ index [ ( BYTE | BIT ) ] ] ]
4 BITOP ( AND | OR | XOR ) bit { key }
2 BITOP NOT bit ( bit | string )
6 BITFIELD bit { [ OVERFLOW ( WRAP | SAT | FAIL ) ] ( GET integertype typedoffset | SET integertype typedoffset number | INCRBY integertype typedoffset number ) }
2 BITFIELD_RO bit { GET integertype typedoffset }
1 BITFIELD_RO bit SET integertype typedoffset number
6 PFADD hll { member }
4 PFCOUNT { hll }
2 PFMERGE hll { hll }
1 PFDEBUG ENCODING hll
3 GET hll
1 PFCOUNT string
2 DEL { string }
1 DEL ( hll | bit )
1 OBJECT ENCODING string
1 TTL string
1 PERSIST string
1 TYPE key
1 EXISTS { key }
""", "9.1": """
4 MSETEX numbered_strings < ( NX | XX ) | ( EX later | PX latermilliseconds | EXAT farunixtime | PXAT farunixmilliseconds | KEEPTTL ) >
2 GET string
1 TTL string
1 BITOP ( DIFF | DIFF1 | ANDOR | ONE ) bit { key }
"""}

HASHES = {"7.0": """
10 HSET hash { field value }
3 HSET hash { field number }
3 HMSET hash { field value }
3 HSETNX hash field value
6 HGET hash field
4 HMGET hash { field }
4 HDEL hash { field }
4 HLEN hash
3 HSTRLEN hash field
3 HEXISTS hash field
5 HGETALL hash
3 HKEYS hash
3 HVALS hash
5 HINCRBY hash field number
5 HINCRBYFLOAT hash field float
! 3 HRANDFIELD hash [ randomcount [ WITHVALUES ] ]
! 1 HRANDFIELD hash 5 WITHVALUE
! 3 HSCAN hash 0 COUNT 100000 [ MATCH pattern ]
! 1 HSCAN hash ( abc | 0 COUNT 0 | 0 COUNT abc | 0 MATCH | 0 FOO )
2 OBJECT ENCODING hash
1 HGET key field
1 HSET key field value
1 DEL { hash }
1 TYPE hash
1 COPY hash hash [ REPLACE ]
""", "8.0": """
6 HEXPIRE hash later [ ( NX | XX ) ] FIELDS numbered_fields
2 HEXPIRE hash seconds [ ( NX | XX | GT | LT ) ] FIELDS numbered_fields
3 HPEXPIRE hash latermilliseconds [ ( NX | XX ) ] FIELDS numbered_fields
4 HEXPIREAT hash farunixtime [ ( NX | XX | GT | LT ) ] FIELDS numbered_fields
2 HEXPIREAT hash unixtime FIELDS numbered_fields
4 HPEXPIREAT hash farunixmilliseconds [ ( NX | XX | GT | LT ) ] FIELDS numbered_fields
2 HPEXPIREAT hash unixmilliseconds FIELDS numbered_fields
5 HTTL hash FIELDS numbered_fields
4 HPTTL hash FIELDS numbered_fields
5 HEXPIRETIME hash FIELDS numbered_fields
4 HPEXPIRETIME hash FIELDS numbered_fields
4 HPERSIST hash FIELDS numbered_fields
4 HGETEX hash [ ( EX later | PX latermilliseconds | EXAT farunixtime | PXAT farunixmilliseconds | PERSIST ) ] FIELDS numbered_fields
4 HSETEX hash [ ( FNX | FXX ) ] [ ( EX later | PX latermilliseconds | EXAT farunixtime | PXAT farunixmilliseconds | KEEPTTL ) ] FIELDS numbered_pairs
3 HGETDEL hash FIELDS numbered_fields
! 1 HSCAN hash 0 COUNT 100000 NOVALUES
8 HSET hash { field value }
2 HGETALL hash
2 HLEN hash
2 HGET hash field
1 HDEL hash { field }
1 HINCRBY hash field number
1 HINCRBYFLOAT hash field float
1 HSETNX hash field value
1 RENAME hash hash
1 COPY hash hash REPLACE
"""}

LISTS = {"7.0": """
8 RPUSH list { value }
8 LPUSH list { value }
2 LPUSHX list { value }
2 RPUSHX list { value }
8 LRANGE list index index
4 LINDEX list index
5 LSET list ( 0 | 1 | -1 | -2 ) value
1 LSET list ( abc | 3.0 ) value
5 LINSERT list ( BEFORE | AFTER ) value value
5 LREM list index value
3 LTRIM list index index
1 LTRIM list 0 index
3 LLEN list
4 LPOP list [ count ]
4 RPOP list [ count ]
5 LPOS list value < RANK index | COUNT count | MAXLEN count >
5 LMOVE list list ( LEFT | RIGHT ) ( LEFT | RIGHT )
3 RPOPLPUSH list list
3 LMPOP numbered_lists ( LEFT | RIGHT ) [ COUNT count ]
1 OBJECT ENCODING list
1 DEL list
1 LRANGE key index index
1 RPUSH key value
! 2 SORT list < ALPHA | ( ASC | DESC ) | LIMIT index count >
! 1 SORT list ALPHA STORE list
1 EXISTS { list }
"""}

SETS = {"7.0": """
8 SADD set { member }
4 SADD set { number }
4 SREM set { member }
5 SISMEMBER set member
4 SMISMEMBER set { member }
3 SCARD set
5 SMEMBERS set
4 SMOVE set set member
4 SINTER { set }
4 SUNION { set }
4 SDIFF { set }
4 SINTERCARD numbered_sets [ LIMIT count ]
3 SINTERSTORE set { set }
3 SUNIONSTORE set { set }
3 SDIFFSTORE set { set }
! 2 SPOP set ( 1000 | 0 | 9223372036854775807 | -1 | abc )
! 1 SPOP nokey
! 3 SRANDMEMBER set [ randomcount ]
! 3 SSCAN set 0 COUNT 100000 [ MATCH pattern ]
2 OBJECT ENCODING set
1 SADD key member
1 SMEMBERS key
! 2 SORT set < ALPHA | ( ASC | DESC ) | LIMIT index count >
1 DEL set
"""}

SORTED_SETS = {"7.0": """
10 ZADD zset < ( NX | XX ) | ( GT | LT ) | CH > { score member }
2 ZADD zset < NX | XX | GT | LT | CH | INCR > score member
3 ZADD zset INCR score member
3 ZADD zset { 0 member }
! 5 ZADD lex 0 member 0 member [ 0 member ]
1 ZREM lex member
4 ZINCRBY zset score member
3 ZREM zset { member }
2 ZCARD zset
5 ZSCORE zset member
3 ZMSCORE zset { member }
4 ZRANK zset member
3 ZREVRANK zset member
5 ZRANGE zset index index [ REV ] [ WITHSCORES ]
4 ZRANGE zset scorelimit scorelimit BYSCORE < REV | LIMIT index index | WITHSCORES >
3 ZRANGE lex lexlimit lexlimit BYLEX < REV | LIMIT index index >
1 ZRANGE zset index index < REV | LIMIT index index | WITHSCORES | BYSCORE >
3 ZREVRANGE zset index index [ WITHSCORES ]
4 ZRANGEBYSCORE zset scorelimit scorelimit < WITHSCORES | LIMIT index index >
3 ZREVRANGEBYSCORE zset scorelimit scorelimit < WITHSCORES | LIMIT index index >
3 ZRANGEBYLEX lex lexlimit lexlimit [ LIMIT index index ]
2 ZREVRANGEBYLEX lex lexlimit lexlimit [ LIMIT index index ]
3 ZRANGESTORE zset zset index index [ REV ]
2 ZRANGESTORE zset zset scorelimit scorelimit BYSCORE < REV | LIMIT index index >
1 ZRANGESTORE zset lex lexlimit lexlimit BYLEX < REV | LIMIT index index >
4 ZCOUNT zset scorelimit scorelimit
3 ZLEXCOUNT lex lexlimit lexlimit
2 ZREMRANGEBYRANK zset index index
2 ZREMRANGEBYSCORE zset scorelimit scorelimit
2 ZREMRANGEBYLEX lex lexlimit lexlimit
3 ZPOPMIN zset [ count ]
3 ZPOPMAX zset [ count ]
3 ZMPOP numbered_zsets ( MIN | MAX ) [ COUNT count ]
4 ZUNION numbered_zsets < AGGREGATE ( SUM | MIN | MAX ) | WITHSCORES >
2 ZUNION 2 zset ( zset | set ) WEIGHTS weight weight [ AGGREGATE ( SUM | MIN | MAX ) ] WITHSCORES
4 ZINTER numbered_zsets < AGGREGATE ( SUM | MIN | MAX ) | WITHSCORES >
2 ZINTER 2 zset ( zset | set ) < WEIGHTS weight weight | AGGREGATE ( SUM | MIN | MAX ) | WITHSCORES >
3 ZDIFF numbered_zsets [ WITHSCORES ]
3 ZINTERCARD numbered_zsets [ LIMIT count ]
3 ZUNIONSTORE zset numbered_zsets < AGGREGATE ( SUM | MIN | MAX ) >
2 ZUNIONSTORE zset 2 zset ( zset | set ) WEIGHTS weight weight [ AGGREGATE ( SUM | MIN | MAX ) ]
3 ZINTERSTORE zset numbered_zsets < AGGREGATE ( SUM | MIN | MAX ) >
2 ZDIFFSTORE zset numbered_zsets
! 3 ZRANDMEMBER zset [ randomcount [ WITHSCORES ] ]
! 3 ZSCAN zset 0 COUNT 100000 [ MATCH pattern ]
2 OBJECT ENCODING zset
1 ZADD key score member
1 ZRANGE key 0 -1
1 DEL zset

5 GEOADD geo < ( NX | XX ) | CH > { longitude latitude member }
3 GEOPOS geo { member }
4 GEODIST geo member member [ unit ]
3 GEOHASH geo { member }
4 GEOSEARCH geo ( FROMMEMBER member | FROMLONLAT longitude latitude ) ( BYRADIUS radius unit | BYBOX radius radius unit ) ( ASC | DESC ) < WITHCOORD | WITHDIST | WITHHASH | COUNT count >
2 GEOSEARCH geo ( FROMMEMBER member | FROMLONLAT longitude latitude ) ( BYRADIUS radius unit | BYBOX radius radius unit ) < ASC | DESC | WITHCOORD | WITHDIST | WITHHASH | COUNT count | COUNT count ANY >
3 GEOSEARCHSTORE geo geo ( FROMMEMBER member | FROMLONLAT longitude latitude ) ( BYRADIUS radius unit | BYBOX radius radius unit ) < ASC | STOREDIST | COUNT count >
2 GEORADIUS geo longitude latitude radius unit < ASC | DESC | WITHCOORD | WITHDIST | WITHHASH | COUNT count >
2 GEORADIUSBYMEMBER geo member radius unit < ASC | WITHDIST | COUNT count | STORE geo | STOREDIST geo >
1 GEORADIUS_RO geo longitude latitude radius unit ASC
2 ZSCORE geo member
""", "8.0": """
3 ZRANK zset member WITHSCORE
2 ZREVRANK zset member WITHSCORE
4 ZADD zset { score member }
"""}

STREAMS = {"7.0": """
10 XADD stream newstreamid { field value }
3 XADD stream < NOMKSTREAM | MAXLEN [ ( = | ~ ) ] count | MINID [ = ] streamid > newstreamid { field value }
5 XLEN stream
5 XRANGE stream streamstart streamend [ COUNT count ]
5 XREVRANGE stream streamend streamstart [ COUNT count ]
4 XDEL stream { streamid }
3 XTRIM stream ( MAXLEN | MINID ) [ = ] ( count | streamid )
1 XTRIM stream ( MAXLEN ~ 1000 LIMIT count | MAXLEN = 3 LIMIT 2 | MINID ~ 0 )
5 XREAD [ COUNT count ] STREAMS stream ( streamid | $ | 0 )
2 XREAD [ COUNT count ] STREAMS stream stream streamid streamid
0.5 XSETID stream streamid [ ENTRIESADDED count MAXDELETEDID streamid ]
3 XGROUP CREATE stream group ( 0 | $ | streamid ) [ MKSTREAM ] [ ENTRIESREAD count ]
2 XGROUP SETID stream group ( 0 | $ | streamid ) [ ENTRIESREAD count ]
1 XGROUP DESTROY stream group
2 XGROUP CREATECONSUMER stream group consumer
2 XGROUP DELCONSUMER stream group consumer
8 XREADGROUP GROUP group consumer [ COUNT count ] [ NOACK ] STREAMS stream >
4 XREADGROUP GROUP group consumer [ COUNT count ] STREAMS stream ( 0 | streamid )
5 XACK stream group { streamid }
4 XPENDING stream group
4 XPENDING stream group streamstart streamend count [ consumer ]
! 2 XPENDING stream group IDLE ( 0 | 9999999 | -1 | abc ) - + 10
! 4 XCLAIM stream group consumer 0 { streamid } < JUSTID | FORCE | RETRYCOUNT count | LASTID streamid | IDLE 0 >
! 1 XCLAIM stream group consumer ( 9999999 | -1 | abc ) streamid
! 4 XAUTOCLAIM stream group consumer 0 ( 0 | streamid | - ) < COUNT count | JUSTID >
! 1 XAUTOCLAIM stream group consumer 9999999 0
4 XINFO STREAM stream
3 XINFO STREAM stream FULL [ COUNT count ]
3 XINFO GROUPS stream
3 XINFO CONSUMERS stream group
1 XADD key 1-1 f v
1 XLEN key
0.3 DEL stream
1 OBJECT ENCODING stream
0.3 COPY stream stream [ REPLACE ]
"""}

KEYS = {"7.0": """
4 SET string value [ EX later ]
2 RPUSH list value
2 HSET hash field value
2 SADD set member
2 ZADD zset score member
1 XADD stream newstreamid f v
5 EXPIRE key seconds < NX | XX >
2 EXPIRE key later ( GT | LT )
2 EXPIRE key later < NX | XX | GT | LT >
3 PEXPIRE key milliseconds [ ( NX | XX ) ]
4 EXPIREAT key unixtime [ ( NX | XX | GT | LT ) ]
4 PEXPIREAT key unixmilliseconds [ ( NX | XX | GT | LT ) ]
2 EXPIREAT key farunixtime < NX | XX | GT | LT >
4 TTL key
3 PTTL key
4 EXPIRETIME key
3 PEXPIRETIME key
3 PERSIST key
3 TYPE key
3 EXISTS { key }
3 TOUCH { key }
2 DEL { key }
2 UNLINK { key }
4 RENAME key key
4 RENAMENX key key
5 COPY key key < DB database | REPLACE >
3 MOVE key database
2 SELECT 1
4 SELECT 0
1 SELECT database
1 SWAPDB ( 0 | 1 ) ( 0 | 1 )
1 SWAPDB database database
4 OBJECT ENCODING ( string | list | hash | set | stream )
1 OBJECT REFCOUNT list
1 OBJECT ( FREQ key | HELP | FOO key )
! 2 OBJECT IDLETIME key
4 KEYS pattern
3 DBSIZE
! 4 SCAN 0 COUNT 100000 < MATCH pattern | TYPE ( string | list | hash | set | zset | stream ) >
! 1 SCAN ( abc | 0 COUNT 0 | 0 COUNT abc | 0 MATCH | 0 FOO bar )
! 1 RANDOMKEY
! 4 SORT ( list | set ) < ALPHA | ( ASC | DESC ) | LIMIT index count | BY ( s* | h*->f1 | x*y ) | GET ( s* | h*->f1 | # ) >
! 2 SORT list ALPHA ( ASC | DESC ) [ LIMIT index count ] [ STORE list ]
! 1 SORT_RO ( list | set ) < ALPHA | DESC >
2 SORT ( list | set | hash | string ) ALPHA
2 RPUSH list { number }
2 RESTORE key ( 0 | later ) payload < REPLACE | ABSTTL | IDLETIME 5 | FREQ 5 >
2 RESTORE key ( 0 | later ) payload REPLACE
1 RESTORE key farunixmilliseconds payload ABSTTL REPLACE
1 RESTORE key 0 value
1 FLUSHDB [ ( SYNC | ASYNC | FOO ) ]
2 GET key
1 LRANGE key 0 -1
1 HGETALL key
1 SMEMBERS key
1 ZRANGE key 0 -1 WITHSCORES
2 APPEND key value
1 DUMP none
1 ECHO value
1 PING [ value ]
1 LPUSH list value
1 SINTERSTORE set { set }
1 GETDEL key
! 1 COMMAND ( COUNT FOO | GETKEYS SET s1 x | GETKEYS EVAL x 2 a b c | GETKEYS FOO | GETKEYS ZUNIONSTORE z1 2 a b | GETKEYS SORT l1 STORE l2 | GETKEYS XREADGROUP GROUP g c STREAMS a b 1 2 | GETKEYS PING )
"""}

MULTI = {"7.0": """
8 MULTI
10 EXEC
2 DISCARD
5 WATCH { key }
2 UNWATCH
8 SET string value
6 GET string
6 INCR string
4 RPUSH list value
4 LRANGE list 0 -1
4 HSET hash field value
4 HGETALL hash
4 SADD set member
4 SMEMBERS set
4 ZADD zset score member
4 ZRANGE zset 0 -1 WITHSCORES
2 DEL { key }
2 EXPIRE key later
1 PEXPIREAT key 1
2 TTL key
1 SELECT ( 0 | 1 )
1 FLUSHDB
1 FLUSHALL
1 SWAPDB 0 1
1 MOVE key 1
1 COPY key key REPLACE
1 RENAME key key
2 SET string
1 FOO bar
1 PING
1 ECHO value
1 LPOP list
1 XADD stream newstreamid f v
1 BLPOP list list 0
1 BLMOVE list list LEFT RIGHT 0
1 BZPOPMIN zset 0
1 XREAD BLOCK 0 STREAMS stream $
1 TOUCH key
1 PERSIST string
! 1 EVAL scriptincr 1 string
1 PUBLISH channel message
1 WATCH
1 MULTI x
1 RESET
1 HELLO ( 2 | 3 | 4 | abc ) SETNAME
1 COMMAND GETKEYS GET s1
1 DBSIZE
"""}

BLOCKING = {"7.0": """
8 BLPOP { list } 0
8 BRPOP { list } 0
5 BLMOVE list list ( LEFT | RIGHT ) ( LEFT | RIGHT ) 0
3 BRPOPLPUSH list list 0
5 BLMPOP 0 numbered_lists ( LEFT | RIGHT ) [ COUNT count ]
5 BZPOPMIN { zset } 0
4 BZPOPMAX { zset } 0
5 BZMPOP 0 numbered_zsets ( MIN | MAX ) [ COUNT count ]
5 XREAD [ COUNT count ] BLOCK 0 STREAMS stream ( $ | streamid )
5 XREADGROUP GROUP group consumer BLOCK 0 STREAMS stream >
1 BLPOP list ( -1 | abc | inf | nan | 9223372036854775807 )
10 RPUSH list { value }
8 LPUSH list { value }
3 LPUSHX list { value }
3 LINSERT list BEFORE a b
8 ZADD zset { score member }
8 XADD stream newstreamid f v
6 XGROUP CREATE stream group $ MKSTREAM
1 XGROUP DESTROY stream group
4 DEL { key }
3 RENAME key key
2 COPY key key REPLACE
2 SET list value
2 LPOP list
2 LRANGE list 0 -1
2 ZRANGE zset 0 -1
3 MULTI
6 EXEC
1 DISCARD
1 LMOVE list list LEFT RIGHT
1 RPOPLPUSH list list
2 ZUNIONSTORE zset 2 zset zset
1 ZINCRBY zset score member
! 1 SORT list ALPHA STORE list
1 RESTORE list 0 listpayload REPLACE
1 SWAPDB 0 1
1 FLUSHALL
1 MOVE list 1
1 PEXPIREAT list 1
! 3 CLIENT UNBLOCK idofother [ ( TIMEOUT | ERROR | FOO ) ]
! 2 EVAL scriptpush 1 list
1 GEOADD zset 13.4 38.1 a
"""}

PUBSUB = {"7.0": """
6 SUBSCRIBE { channel }
5 PSUBSCRIBE { channelpattern }
4 SSUBSCRIBE { channel }
3 UNSUBSCRIBE [ { channel } ]
3 PUNSUBSCRIBE [ { channelpattern } ]
2 SUNSUBSCRIBE [ { channel } ]
14 PUBLISH channel message
6 SPUBLISH channel message
3 PUBSUB CHANNELS [ channelpattern ]
3 PUBSUB NUMSUB { channel }
2 PUBSUB NUMPAT
2 PUBSUB SHARDCHANNELS [ channelpattern ]
2 PUBSUB SHARDNUMSUB { channel }
1 PUBSUB ( FOO | NUMPAT x | HELP )
2 PING [ value ]
1 GET s1
1 RESET
1 MULTI
3 EXEC
1 SET s1 value
1 ECHO value
"""}

SCRIPTS = {"7.0": """
12 EVAL script 2 string zset value number
4 EVAL script 2 key key value number
6 EVAL pushscript 0
2 EVAL script numberofkeys key value
3 EVAL_RO script 2 key key value number
6 SCRIPT LOAD loadedscript
5 EVALSHA scriptsha 2 key key value number
0.5 EVALSHA_RO scriptsha 2 key key value number
1 EVALSHA value 0
3 SCRIPT EXISTS { scriptsha }
0.2 SCRIPT FLUSH [ ( SYNC | ASYNC | FOO ) ]
1 SCRIPT ( KILL | HELP | FOO )
4 FUNCTION LOAD REPLACE library
1 FUNCTION LOAD library
0.5 FUNCTION DELETE ( mylib | other | none )
2 FUNCTION LIST [ LIBRARYNAME ( my* | other | zzz ) ] [ WITHCODE ]
0.1 FUNCTION FLUSH [ ( SYNC | ASYNC | FOO ) ]
1 FUNCTION ( KILL | HELP | FOO | DUMP x )
5 FCALL ( f1 | f2 ) 1 key value
1 FCALL ( f1 | f2 | ro | nofunction ) numberofkeys key value
1 FCALL_RO ( f1 | ro | nofunction ) 1 key value
3 SET string value
2 RPUSH list value
2 HSET hash field value
2 SADD set member
2 ZADD zset score member
2 GET string
1 LRANGE list 0 -1
1 HGETALL hash
1 DEL { key }
1 EXPIRE key later
"""}
