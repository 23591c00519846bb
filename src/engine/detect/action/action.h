/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What can be done to one value so that it no longer tells who or what it is. Knows no policy:
 * which action a value gets is its caller's (rules.h).
 *
 * 1. Whatever goes wrong, the original is not in the output: what an action can't be done to (a
 * date shift of what is no date) is redacted, a failure is an error that ends the work.
 * 2. The same value under the same key becomes the same, in every file and run, however it is
 *    written: `Bob@Example.com` is `bob@example.com`, `4111-1111...` is `41111111...`.
 * 3. Without the key nothing tells which value it was, but for what mask and generalise leave. */

#include "base/buf.h"

typedef enum dv_action_kind {
    DV_ACT_REDACT = 0, /* [EMAIL]: the zero hides all */
    DV_ACT_REMOVE,     /* nothing at all; NULL in SQL and JSON */
    DV_ACT_MASK,       /* ****-****-****-1111: separators stay, and some letters where asked for */
    DV_ACT_HASH,       /* HMAC-SHA-256, cut: 9f86d081884c7d65 */
    DV_ACT_PSEUDONYM,  /* keyed, of the same shape: an e-mail address for an e-mail address */
    DV_ACT_TOKEN,      /* random, and a vault keeps the sealed value; or it is sealed within */
    DV_ACT_FPE,        /* FF1: digits for digits, reversible with the key */
    DV_ACT_DATE_SHIFT, /* by days that depend on the subject: intervals stay */
    DV_ACT_GENERALISE, /* a year for a date, a network for an address, a band for a number */
    DV_ACT_KEEP,       /* as it is: somebody chose so */
    DV_ACT_KINDS,
} dv_action_kind;

typedef enum dv_action_detail {
    DV_DETAIL_BY_SHAPE = 0, /* year, network, domain; a number is redacted */
    DV_DETAIL_YEAR,         /* 1980 */
    DV_DETAIL_MONTH,        /* 1980-05 */
    DV_DETAIL_AGE,          /* 30-39, 90+ (45 CFR 164.514(b)(2)(i)(C)) */
    DV_DETAIL_BAND,         /* 1000-1999 for a width of 1000 */
    DV_DETAIL_ZIP,          /* the first three digits, 000 where few live (164.514(b)(2)(i)(B)) */
    DV_DETAIL_NETWORK,      /* /24 of IPv4, /48 of IPv6 */
    DV_DETAIL_DOMAIN,       /* @example.com */
    DV_DETAIL_COUNT,
} dv_action_detail;

typedef enum dv_date_order { DV_DATE_DMY = 0, DV_DATE_MDY } dv_date_order; /* of 01/02/2000 */

/* One action with its settings; zero: redact. */
typedef struct dv_action {
    uint8_t kind;
    uint8_t keep_first; /* letters and digits that mask and fpe leave: a card's BIN is 6 */
    uint8_t keep_last;
    bool keep_said; /* as the settings say; otherwise what the detector allows */
    bool luhn;      /* fpe: a number with a right check digit becomes one with a right one */
    bool letters;   /* fpe: letters are encrypted with the digits; otherwise digits only */
    uint8_t length; /* of a hash, in hexadecimal digits; 0: 16 */
    uint8_t detail; /* dv_action_detail */
    uint8_t order;  /* dv_date_order */
    bool sealed;    /* the token carries its value (sealed.h), and no vault is needed */
    bool reverse;   /* undo fpe, date shift and token, of either kind */
    uint16_t days;  /* a date shift is at most; 0: 365 */
    uint32_t width; /* of a band; 0: 10 */
    char fill;      /* of a mask; 0: '*' */
} dv_action;

typedef struct dv_action_value {
    dv_slice text;
    const char *label; /* "EMAIL", in what a redaction leaves; NULL: REDACTED */
    uint8_t keep_last; /* that its kind lets a mask show */
    dv_slice subject;  /* whose date it is; empty: nobody's in particular */
} dv_action_value;

enum {
    DV_ACTION_KEY_LEN = 32,
    DV_ACTION_VALUE_MAX = 1 << 20,  /* bytes; longer values are redacted */
    DV_ACTION_DOMAIN_MIN = 1000000, /* values that fpe chooses among, at least */
};

struct dv_vault;
typedef struct dv_action_tools dv_action_tools; /* keys; one for each thread */

/* key NULL: only actions that need none. The vault, or NULL, is borrowed. */
dv_must dv_result dv_action_tools_new(const uint8_t *key, struct dv_vault *vault,
                                      dv_action_tools **ret_tools);
void dv_action_tools_free(dv_action_tools *tools);
DV_DEFINE_AUTO_PTR(action_tools, dv_action_tools, dv_action_tools_free)

bool dv_action_needs_key(dv_action_kind kind);

/* Appends what the value becomes. tools NULL: for actions that need no key. Errors:
 * DV_ERR_UNSUPPORTED (it needs a key or a vault, and there is none), DV_ERR_NOT_FOUND (reverse: no
 * such token), the vault's; out then holds no part of the value, but may hold something. */
dv_must dv_result dv_action_apply(dv_action_tools *tools, const dv_action *action,
                                  const dv_action_value *value, dv_buf *out);

/* "mask", "date_shift"; NULL: none. */
const char *dv_action_kind_name(dv_action_kind kind);

/* Reads a key of 32 bytes from a file that only its owner may read: raw, hexadecimal or base64.
 * Errors: DV_ERR_NOT_FOUND, DV_ERR_FORBIDDEN (others may read it), DV_ERR_INVALID. */
dv_must dv_result dv_action_key_read(const char *path, uint8_t ret_key[DV_ACTION_KEY_LEN],
                                     dv_error *error);
