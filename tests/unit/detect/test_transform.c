/* SPDX-License-Identifier: Apache-2.0 */
/* engine/detect/action: rules applied to text, CSV, JSON and SQL, in pieces of any size. */
#include "engine/detect/action/transform.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static dv_detect_rules *detectors;
static dv_detect_scratch *scratch;

typedef struct text_source {
    dv_slice rest;
    size_t piece;
} text_source;

static dv_result get(void *data, uint8_t *out, size_t room, size_t *ret_len)
{
    text_source *source = data;
    size_t len = DV_MIN(DV_MIN(source->rest.len, source->piece), room);
    memcpy(out, source->rest.ptr, len);
    source->rest = dv_slice_sub(source->rest, len, SIZE_MAX);
    *ret_len = len;
    return DV_OK;
}

static dv_result put(void *data, dv_slice bytes)
{
    return dv_buf_append(data, bytes);
}

static dv_buf *watched; /* NULL: nobody watches */

/* "table.column kind before>after" for what was acted on; a whole cell has no kind. */
static dv_result note(void *data, const dv_transform_seen *seen)
{
    dv_slice table = seen->table;
    ptrdiff_t end = dv_slice_find_byte(table, '\0');
    table = dv_slice_sub(table, end < 0 ? 0 : (size_t)end + 1, SIZE_MAX);
    return seen->acted
               ? dv_buf_append_printf(data, "%.*s.%.*s %s %.*s>%.*s\n", DV_SLICE_ARGS(table),
                                      DV_SLICE_ARGS(seen->column),
                                      seen->kind == NULL ? "-" : seen->kind,
                                      DV_SLICE_ARGS(seen->before), DV_SLICE_ARGS(seen->after))
               : DV_OK;
}

/* Runs it over the input and appends what came out, or "RESULT LINE". */
static void transform(dv_transform_run run, const char *yaml, dv_action_kind kind, dv_slice input,
                      size_t piece, dv_buf *out)
{
    static const uint8_t key[32] = {5};
    text_source from = {input, piece};
    const dv_walk_source source = {get, &from};
    const dv_transform_sink sink = {put, out};
    const dv_action fallback = {.kind = (uint8_t)kind};
    dv_transform_counts counts;
    dv_error error = {0};
    const dv_yaml *root = NULL;
    dv_action_rules *rules = NULL;
    dv_auto(action_tools) dv_action_tools *tools = NULL;
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    assert_int_equal(dv_yaml_parse(dv_slice_str(yaml), arena, &root, &error), DV_OK);
    assert_int_equal(dv_action_rules_read(root, &fallback, arena, &rules, &error), DV_OK);
    assert_int_equal(dv_action_tools_new(key, NULL, &tools), DV_OK);
    dv_transform_setup setup = {.rules = rules, .tools = tools, .table = DV_LIT("people")};
    const dv_transform_watch watch = {note, watched};
    setup.watch = watched == NULL ? NULL : &watch;
    setup.walk.rules = detectors;
    setup.walk.scratch = scratch;
    dv_action_rules_enable(rules, false, &setup.walk.enabled);
    dv_result result = run(&setup, &source, &sink, &counts, &error);
    if (result != DV_OK) {
        assert_string_not_equal(error.message, "");
        dv_buf_clear(out);
        assert_int_equal(dv_buf_append_printf(out, "%s %d", dv_result_name(result), error.line),
                         DV_OK);
    }
}

static void check(dv_transform_run run, const char *yaml, dv_action_kind kind, const char *input,
                  const char *expected)
{
    for (size_t piece = 1; piece < 100; piece = piece * 3 + 1) {
        dv_auto(buf) dv_buf out = dv_buf_init(1 << 20);
        transform(run, yaml, kind, dv_slice_str(input), piece, &out);
        assert_string_equal(out.len == 0 ? "" : dv_buf_cstr(&out), expected);
    }
}

static void text(void **state)
{
    (void)state;
    check(dv_transform_text, "", DV_ACT_REDACT, "to bob@example.com and 4111 1111 1111 1111.",
          "to [EMAIL] and [CARD].");
    check(dv_transform_text, "categories: {payment: keep}", DV_ACT_REDACT,
          "to bob@example.com and 4111 1111 1111 1111.", "to [EMAIL] and 4111 1111 1111 1111.");
    check(dv_transform_text, "detectors: {email: {action: generalise, to: domain}}", DV_ACT_REDACT,
          "to bob@example.com", "to @example.com");
}

static void check_watched(dv_transform_run run, const char *yaml, const char *input,
                          const char *expected)
{
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 20);
    dv_auto(buf) dv_buf seen = dv_buf_init(1 << 20);
    watched = &seen;
    transform(run, yaml, DV_ACT_REDACT, dv_slice_str(input), 100, &out);
    watched = NULL;
    assert_string_equal(seen.len == 0 ? "" : dv_buf_cstr(&seen), expected);
}

static void tells_who_watches(void **state)
{
    (void)state;
    check_watched(dv_transform_text, "", "to bob@example.com\n",
                  "people. email bob@example.com>[EMAIL]\n");
    check_watched(dv_transform_csv, "columns: {id: mask, zip: keep}",
                  "id,zip,note\nA7,94110,to bob@example.com\n",
                  "people.id - A7>**\npeople.note email bob@example.com>[EMAIL]\n");
    check_watched(dv_transform_json, "columns: {user.id: mask}",
                  "{\"user\":{\"id\":\"A7\"},\"n\":\"bob@example.com\"}\n",
                  "people.id - A7>**\npeople.n email bob@example.com>[EMAIL]\n");
    check_watched(dv_transform_sql, "columns: {id: mask}",
                  "CREATE TABLE s.p (id text, n text);\nCOPY s.p (id, n) FROM stdin;\n"
                  "A7\tbob@example.com\n\\.\nINSERT INTO s.p VALUES ('B8', 'x');\n",
                  "p.id - A7>**\np.n email bob@example.com>[EMAIL]\np.id - B8>**\n");
}

/* Values at every place around the border of a window become what they become elsewhere. */
static void text_over_windows(void **state)
{
    (void)state;
    enum { LEN = 600 << 10 };
    static char input[LEN + 1];
    dv_auto(buf) dv_buf out = dv_buf_init((size_t)2 * LEN);
    for (size_t i = 0; i + 24 <= LEN; i += 24) {
        memcpy(input + i, "mail bob@example.com ok\n", 24);
    }
    transform(dv_transform_text, "", DV_ACT_REDACT, dv_slice_of(input, LEN / 24 * 24), 7777, &out);
    assert_int_equal(out.len, LEN / 24 * strlen("mail [EMAIL] ok\n"));
    assert_int_equal(dv_slice_find_byte(dv_buf_slice(&out), '@'), -1);
}

static void csv(void **state)
{
    (void)state;
    check(dv_transform_csv, "columns: {mail: redact, id: keep, gone: remove}", DV_ACT_REDACT,
          "id,mail,gone,notes\r\n1,x,y,\"a, \"\"bob@example.com\"\"\"\r\n2,,,\r\n",
          "id,mail,gone,notes\r\n1,[mail],,\"a, \"\"[EMAIL]\"\"\"\r\n2,,,\r\n");
    /* The column's name is context, for numbers that need some. */
    check(dv_transform_csv, "", DV_ACT_REDACT, "routing number\n021000021\n",
          "routing number\n[ROUTING]\n");
    check(dv_transform_csv, "", DV_ACT_REDACT, "x\n021000021\n", "x\n021000021\n");
    check(dv_transform_csv, "columns: {people.MAIL: redact}", DV_ACT_REDACT, "mail\nx\n",
          "mail\n[people.MAIL]\n");
    check(dv_transform_csv, "columns: {emial: redact}", DV_ACT_REDACT, "email\nx\n", "invalid 0");
    check(dv_transform_csv, "columns: {emial: {action: redact, optional: true}}", DV_ACT_REDACT,
          "email\nx\n", "email\nx\n");
    check(dv_transform_csv, "columns: {d: {action: date_shift, subject: who}}", DV_ACT_REDACT,
          "d\n2000-01-01\n", "invalid 0");
    check(dv_transform_csv, "", DV_ACT_REDACT, "a\n\"x\"y\n", "invalid 2");
    check(dv_transform_csv, "", DV_ACT_REDACT, "1,bob@example.com\n2,x\n", "invalid 1");
    check(dv_transform_csv, "", DV_ACT_REDACT, "a\n1,bob@example.com\n", "a\n1,[EMAIL]\n");
    /* A quote is missing: "Bob" would stand in no column of the rules. */
    check(dv_transform_csv, "columns: {name: redact}", DV_ACT_REDACT,
          "id,name\n1,x,\n2,Smith, Bob\n", "invalid 3");
}

static void json(void **state)
{
    (void)state;
    check(dv_transform_json, "columns: {user.mail: redact, n: remove, id: keep}", DV_ACT_REDACT,
          "{ \"id\": 7, \"user\":{\"mail\":[\"x\", 2, true, null]}, \"n\":{\"a\":1}}\n\n"
          "{\"to\":\"a\\u0040b.org\\n\", \"bob@example.com\":1.50}",
          "{ \"id\": 7, \"user\":{\"mail\":[\"[user.mail]\", \"[user.mail]\", \"[user.mail]\", "
          "null]}, \"n\":{\"a\":null}}\n\n{\"to\":\"[EMAIL]\\n\", \"[EMAIL]\":1.50}");
    check(dv_transform_json, "", DV_ACT_REDACT, "{\"card\":4111111111111111}",
          "{\"card\":\"[CARD]\"}");
    check(dv_transform_json, "", DV_ACT_REDACT, "1\n{\n", "invalid 2");
    check(dv_transform_json, "columns: {a: redact}", DV_ACT_REDACT, "{}\n", "invalid 0");
    check(dv_transform_json, "columns: {a: {action: date_shift, subject: b}}", DV_ACT_REDACT,
          "{\"a\":\"2000-01-01\",\"b\":1}\n", "invalid 0");
}

static void sql(void **state)
{
    (void)state;
    static const char rules[] = "columns: {mail: redact, id: keep, n: remove}";
    check(dv_transform_sql, rules, DV_ACT_REDACT,
          "-- a; 'comment\nCREATE TABLE \"s\".t (id int, \"mail\" text DEFAULT 'a,b', n int);\n"
          "COPY s.t (n, mail) FROM stdin;\n5\ta\\tb\n\\N\t\\N\n\\.\n\n"
          "INSERT INTO t VALUES (1, 'x;''y', 5), (2, E'\\'', NULL);\nSELECT 1;\n",
          "-- a; 'comment\nCREATE TABLE \"s\".t (id int, \"mail\" text DEFAULT 'a,b', n int);\n"
          "COPY s.t (n, mail) FROM stdin;\n\\N\t[mail]\n\\N\t\\N\n\\.\n\n"
          "INSERT INTO t VALUES (1, '[mail]', NULL),\n(2, '[mail]', NULL);\nSELECT 1;\n");
    /* What no rule names is searched, wherever it stands; expressions under a rule go. */
    check(dv_transform_sql, rules, DV_ACT_REDACT,
          "COMMENT ON TABLE t IS 'ask bob@example.com';\nCREATE FUNCTION f() AS $a$ ; $a$;\n"
          "INSERT INTO t (id, mail, n, x) VALUES (1, upper('bob'), 1, 'bob@example.com'::text);",
          "COMMENT ON TABLE t IS 'ask [EMAIL]';\nCREATE FUNCTION f() AS $a$ ; $a$;\n"
          "INSERT INTO t (id, mail, n, x) VALUES (1, NULL, NULL, '[EMAIL]'::text);");
}

/* Rows that name no columns go by the table of their schema. */
static void sql_tables_of_one_name(void **state)
{
    (void)state;
    check(dv_transform_sql, "columns: {name: redact}", DV_ACT_REDACT,
          "CREATE TABLE a.t (id int, name text, CHECK (id > 0));\nCREATE TABLE b.t (name text);\n"
          "INSERT INTO a.t VALUES (1, 'Bob');\nINSERT INTO b.t VALUES ('Bob');\n",
          "CREATE TABLE a.t (id int, name text, CHECK (id > 0));\nCREATE TABLE b.t (name text);\n"
          "INSERT INTO a.t VALUES (1, '[name]');\nINSERT INTO b.t VALUES ('[name]');\n");
}

/* A command of psql behind comments hides no statement from the rules. */
static void sql_commands(void **state)
{
    (void)state;
    check(dv_transform_sql, "columns: {a: redact}", DV_ACT_REDACT,
          "-- ask bob@example.com\n\\echo x\nINSERT INTO t (a) VALUES ('Bob');\n",
          "-- ask [EMAIL]\n\\echo x\nINSERT INTO t (a) VALUES ('[a]');\n");
    check(dv_transform_sql, "columns: {a: redact}", DV_ACT_REDACT,
          "INSERT INTO t (a) VALUES ('x'::varchar(9)), ('x'::text || $$Bob$$);\n"
          "COPY t (a) FROM stdin;\n \\.\nBob\n\\.\n",
          "INSERT INTO t (a) VALUES ('[a]'::varchar(9)),\n(NULL);\n"
          "COPY t (a) FROM stdin;\n[a]\n[a]\n\\.\n");
}

/* Where psql sees one statement, so do the rules: what a function or rule does to rows is no row.
 */
static void sql_bodies_stay_whole(void **state)
{
    (void)state;
    static const char *const kept[] = {
        ("CREATE FUNCTION f(b text) RETURNS void LANGUAGE sql BEGIN ATOMIC\n"
         " INSERT INTO t (a) VALUES (b);\n INSERT INTO t (a) VALUES (b);\n"
         " UPDATE t SET a = CASE WHEN b = 'x' THEN b ELSE a END;\n DELETE FROM t;\nEND;\n"),
        ("CREATE OR REPLACE PROCEDURE f(b text) BEGIN ATOMIC INSERT INTO t SELECT b; UPDATE t SET "
         "a "
         "= b; END;\n"),
        ("CREATE RULE r AS ON INSERT TO v DO INSTEAD ( INSERT INTO t (a) VALUES (new.a);\n"
         " UPDATE t SET a = new.a;\n);\n"),
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(kept); i++) {
        dv_auto(buf) dv_buf in = dv_buf_init(1 << 16), out = dv_buf_init(1 << 16);
        assert_int_equal(
            dv_buf_append_printf(&in, "%sINSERT INTO t (a) VALUES ('Bob');\n", kept[i]), DV_OK);
        assert_int_equal(
            dv_buf_append_printf(&out, "%sINSERT INTO t (a) VALUES ('[a]');\n", kept[i]), DV_OK);
        check(dv_transform_sql, "columns: {a: redact}", DV_ACT_REDACT, dv_buf_cstr(&in),
              dv_buf_cstr(&out));
    }
}

/* What is replaced takes none of the statement's quotes with it. */
static void sql_keeps_its_quotes(void **state)
{
    (void)state;
    check(dv_transform_sql, "", DV_ACT_REDACT,
          "UPDATE t SET a='bob@example.com', b='', c='it''s o''brien@example.com';\n"
          "INSERT INTO t (a, b, c) VALUES (U&'bob@example.com', '''bob@example.com', f('x'));\n"
          "-- it's\n",
          "UPDATE t SET a='[EMAIL]', b='', c='it''s [EMAIL]';\n"
          "INSERT INTO t (a, b, c) VALUES (U&'[EMAIL]', '[EMAIL]', f('x'));\n-- it's\n");
}

static void sql_that_is_refused(void **state)
{
    (void)state;
    static const char *const dumps[] = {
        "SET standard_conforming_strings = off;\n",
        "SET SESSION standard_conforming_strings TO 'no';\n",
        ("CREATE TABLE s.t (b int, a text);\nCREATE TABLE u.t (a text, b int);\n"
         "INSERT INTO t VALUES (1, 'Bob');\n"),
        "CREATE TABLE c (a int) INHERITS (t);\nINSERT INTO c VALUES (1, 'Bob');\n",
        "CREATE TABLE c (LIKE t, a int);\nINSERT INTO c VALUES (1, 'Bob');\n",
        "CREATE TABLE c (PRIMARY KEY (a), a int);\nINSERT INTO c VALUES ('Bob');\n",
        "INSERT INTO t (a) VALUES (1, 'Bob');\n",
        "COPY t (a) FROM stdin;\n1\tBob\n\\.\n",
        "COPY t (a) FROM stdin WITH (FORMAT csv);\n1\n\\.\n",
        "COPY t (a) FROM stdin;\n1\n",
        "INSERT INTO t (a) SELECT * FROM u;\n",
        "INSERT INTO t VALUES (1);\n", /* of columns that nobody told */
        "SELECT 'open\n",
        "INSERT INTO t (a) VALUES (1;\n",
        /* Values that no rule would reach. */
        "INSERT INTO t (a) VALUES ('x') ON CONFLICT (a) DO UPDATE SET a = 'Bob';\n",
        "INSERT INTO t (a) VALUES ('x') ON CONFLICT DO UPDATE SET a = $$Bob$$;\n",
        "INSERT INTO t (a) VALUES ('x') ON CONFLICT (a) DO UPDATE SET a = 4711;\n",
        "WITH x AS (SELECT 1) INSERT INTO t (a) VALUES ('Bob');\n",
        "UPDATE t SET a = 'Bob';\n",
        "DELETE FROM t WHERE a = 'Bob';\n",
        "MERGE INTO t USING u ON true WHEN MATCHED THEN UPDATE SET a = 'Bob';\n",
        "DO $$ BEGIN INSERT INTO t VALUES ('Bob'); END $$;\n",
        "CREATE TABLE t AS VALUES ('Bob');\n",
        "CREATE TEMP TABLE t (a) AS VALUES ('Bob');\n",
        "CREATE TABLE t USING heap AS VALUES ('Bob');\n",
        "CREATE TABLE t (a) WITH (fillfactor=70) AS VALUES ('Bob');\n",
        "SELECT 'Bob' AS a INTO t;\n",
        "\\echo x \\\\ INSERT INTO t (a) VALUES ('Bob');\n",
        "\\copy t (a) from stdin\nBob\n\\.\n",
        /* psql takes \g for a statement's end, and other names and columns for what they are. */
        "SELECT 1 \\g\nINSERT INTO t (a) VALUES ('Bob');\n",
        "INSERT INTO t (a) VALUES ('x') \\g\nINSERT INTO t (a) VALUES ('Bob');\n",
        "SELECT 1 \\g\nINSERT INTO t (a) VALUES ('Bob')",
        "SET \"standard_conforming_strings\" = off;\n",
        "INSERT INTO t (b, U&\"\\0061\") VALUES (1, 'Bob');\n",
        "INSERT INTO t (b, c[1]) VALUES (1, 'Bob');\n",
        "CREATE TABLE t (b int, U&\"\\0061\" text);\nINSERT INTO t VALUES (1, 'Bob');\n",
        ("CREATE TABLE t (b int, c int, a text);\nALTER TABLE ONLY t DROP COLUMN b;\n"
         "INSERT INTO t VALUES (1, 'Bob');\n"),
        ("CREATE TABLE t (b int, a text);\nALTER TABLE IF EXISTS t OWNER TO x, RENAME a TO c;\n"
         "INSERT INTO t VALUES (1, 'Bob');\n"),
        ("CREATE TABLE t (a text, g int GENERATED ALWAYS AS (1) STORED, b text);\n"
         "COPY t FROM stdin;\nx\tBob\n\\.\n"),
        /* A body that stays open would take all that follows with it; others have none. */
        "CREATE FUNCTION f() BEGIN ATOMIC;\nINSERT INTO t (a) VALUES ('Bob');\n",
        "CREATE RULE r AS ON INSERT TO v DO (SELECT 1;\nINSERT INTO t (a) VALUES ('Bob');\n",
        "CREATE VIEW begin AS SELECT 1;\nUPDATE t SET a = 'Bob';\n",
        "SELECT (1;\nUPDATE t SET a = 'Bob';\n",
        /* The last statement needs no semicolon. */
        "INSERT INTO t (a) VALUES (1, 'Bob')",
        "COPY t (a) FROM stdin",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(dumps); i++) {
        dv_auto(buf) dv_buf out = dv_buf_init(1 << 16);
        transform(dv_transform_sql, "columns: {a: {action: redact, optional: true}}", DV_ACT_REDACT,
                  dv_slice_str(dumps[i]), 5, &out);
        dv_slice made = dv_buf_slice(&out);
        assert_true(dv_slice_starts_with(made, DV_LIT("unsupported")) ||
                    dv_slice_starts_with(made, DV_LIT("invalid")));
    }
}

/* What is refused without any rule, since nobody could see what stands there. */
static void sql_that_nobody_can_search(void **state)
{
    (void)state;
    static const char *const dumps[] = {
        "COMMENT ON TABLE t IS E'bob\\x40example.com';\n",
        "COMMENT ON TABLE t IS e'bob\\100example.com';\n",
        "COMMENT ON TABLE t IS U&'bob\\0040example.com';\n",
        "INSERT INTO t (a) VALUES (U&'bob!0040example.com' UESCAPE '!');\n",
        "INSERT INTO t (a) VALUES (upper(E'bob\\u0040example.com'));\n",
        "SELECT pg_catalog.lowrite(0, '\\x426f62');\n",
        "SELECT set_config('Standard_conforming_strings', 'off', false);\n",
        "SELECT 1 \\g\nSELECT 2;\n",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(dumps); i++) {
        check(dv_transform_sql, "", DV_ACT_REDACT, dumps[i],
              i == DV_ARRAY_LEN(dumps) - 1 ? "unsupported 2" : "unsupported 1");
    }
    check(
        dv_transform_sql, "", DV_ACT_REDACT,
        "COMMENT ON TABLE t IS E'a\\nbob@example.com \\\\x40';\n"
        "INSERT INTO t (a) VALUES ('bob@'\n  'example.com'), ('bob' -- x\n'@example.com'::text);\n"
        "UPDATE t SET a = 'bob@example.com'",
        "COMMENT ON TABLE t IS E'a\\n[EMAIL] \\\\x40';\n"
        "INSERT INTO t (a) VALUES ('[EMAIL]'),\n('[EMAIL]'::text);\n"
        "UPDATE t SET a = '[EMAIL]'");
}

static void sql_that_goes_on(void **state)
{
    (void)state;
    static const char rules[] = "columns: {a: redact}";
    check(dv_transform_sql, rules, DV_ACT_REDACT,
          "INSERT INTO t (a) VALUES ('Bob'), (E'B\\x6fb') ON CONFLICT DO NOTHING;\n"
          "INSERT INTO t (a) VALUES ('Bob')\nON CONFLICT (a) DO UPDATE SET a = EXCLUDED.a;\n"
          "-- no more\nINSERT INTO \"T\" (\"A\") VALUES ('Bob') -- end",
          "INSERT INTO t (a) VALUES ('[a]'),\n('[a]') ON CONFLICT DO NOTHING;\n"
          "INSERT INTO t (a) VALUES ('[a]') ON CONFLICT (a) DO UPDATE SET a = EXCLUDED.a;\n"
          "-- no more\nINSERT INTO \"T\" (\"A\") VALUES ('[a]')");
    check(dv_transform_sql, rules, DV_ACT_REDACT,
          "CREATE TABLE t (b int, a text);\nALTER TABLE ONLY t ADD CONSTRAINT k PRIMARY KEY (b),"
          " ALTER COLUMN b SET DEFAULT 1;\nINSERT INTO t VALUES (1, 'Bob');\n"
          "COPY t FROM stdin;\n1\tBob\n\\.\n",
          "CREATE TABLE t (b int, a text);\nALTER TABLE ONLY t ADD CONSTRAINT k PRIMARY KEY (b),"
          " ALTER COLUMN b SET DEFAULT 1;\nINSERT INTO t VALUES (1, '[a]');\n"
          "COPY t FROM stdin;\n1\t[a]\n\\.\n");
}

/* Words within parentheses, names, strings and comments make no rows of a table. */
static void sql_that_only_looks_so(void **state)
{
    (void)state;
    check(dv_transform_sql, "columns: {a: redact}", DV_ACT_REDACT,
          "CREATE TABLE \"as\" (g int GENERATED ALWAYS AS IDENTITY, a text) -- as\n WITH (x = 1);\n"
          "SELECT set_config('search_path', 'into', false), (SELECT 1) /* into */;\n"
          "INSERT INTO \"as\" VALUES (1, 'Bob');\n",
          "CREATE TABLE \"as\" (g int GENERATED ALWAYS AS IDENTITY, a text) -- as\n WITH (x = 1);\n"
          "SELECT set_config('search_path', 'into', false), (SELECT 1) /* into */;\n"
          "INSERT INTO \"as\" VALUES (1, '[a]');\n");
}

static void too_large(dv_transform_run run, dv_slice input)
{
    dv_auto(buf) dv_buf out = dv_buf_init(64 << 20);
    transform(run, "", DV_ACT_REDACT, input, SIZE_MAX, &out);
    assert_true(dv_slice_starts_with(dv_buf_slice(&out), DV_LIT("too_large")));
}

static void limits(void **state)
{
    (void)state;
    dv_auto(buf) dv_buf input = dv_buf_init((size_t)DV_TRANSFORM_LINE_MAX * 2);
    size_t len = DV_TRANSFORM_LINE_MAX + (256 << 10);
    assert_int_equal(dv_buf_reserve(&input, len), DV_OK);
    memset(input.ptr, ' ', len);
    input.len = len;
    too_large(dv_transform_json, dv_buf_slice(&input));
    too_large(dv_transform_sql, dv_buf_slice(&input));
    for (size_t i = 0; i < len; i += 1024) {
        input.ptr[i] = '\n'; /* short lines, one statement */
    }
    memcpy(input.ptr, "SELECT", 6);
    too_large(dv_transform_sql, dv_buf_slice(&input));
    dv_buf_clear(&input);
    assert_int_equal(dv_buf_append_str(&input, "INSERT INTO t (a) VALUES (1"), DV_OK);
    for (size_t i = 0; i < DV_TRANSFORM_COLUMNS_MAX; i++) {
        assert_int_equal(dv_buf_append_str(&input, ",1"), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&input, ");"), DV_OK);
    too_large(dv_transform_sql, dv_buf_slice(&input));
    dv_buf_clear(&input);
    for (size_t i = 0; i <= DV_TRANSFORM_TABLES_MAX; i++) {
        assert_int_equal(dv_buf_append_str(&input, "CREATE TABLE t (a int);\n"), DV_OK);
    }
    too_large(dv_transform_sql, dv_buf_slice(&input));
}

static void refused_rules(void **state)
{
    (void)state;
    static const char *const files[] = {
        "defualt: mask",
        "default: shred",
        "detectors: {emial: mask}",
        "categories: {emial: mask}",
        "names: {Person: mask}",
        "columns: [a]",
        "columns: {a: {keep_last: 4}}",
        "columns: {a: {action: mask, keep_last: 99}}",
        "columns: {a: {action: mask, fill: '**'}}",
        "columns: {a: {action: generalise, to: nothing}}",
        "columns: {a: {action: fpe, luhn: true, letters: true}}",
        "columns: {a: {action: mask, type: emial}}",
        "date_order: ymd",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(files); i++) {
        const dv_action fallback = {.kind = DV_ACT_MASK};
        const dv_yaml *root = NULL;
        dv_action_rules *rules = NULL;
        dv_error error = {0};
        dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
        assert_int_equal(dv_yaml_parse(dv_slice_str(files[i]), arena, &root, &error), DV_OK);
        assert_int_equal(dv_action_rules_read(root, &fallback, arena, &rules, &error),
                         DV_ERR_INVALID);
        assert_true(error.message[0] != '\0');
    }
}

static int set_up(void **state)
{
    (void)state;
    return dv_detect_rules_builtin(&detectors, NULL) == DV_OK &&
                   dv_detect_scratch_new(detectors, &scratch) == DV_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    dv_detect_scratch_free(scratch);
    dv_detect_rules_free(detectors);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text),
        cmocka_unit_test(tells_who_watches),
        cmocka_unit_test(text_over_windows),
        cmocka_unit_test(csv),
        cmocka_unit_test(json),
        cmocka_unit_test(sql),
        cmocka_unit_test(sql_bodies_stay_whole),
        cmocka_unit_test(sql_that_is_refused),
        cmocka_unit_test(sql_that_nobody_can_search),
        cmocka_unit_test(sql_that_goes_on),
        cmocka_unit_test(sql_that_only_looks_so),
        cmocka_unit_test(sql_tables_of_one_name),
        cmocka_unit_test(sql_commands),
        cmocka_unit_test(sql_keeps_its_quotes),
        cmocka_unit_test(limits),
        cmocka_unit_test(refused_rules),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
