/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The build id that the linker left in a program (ELF note NT_GNU_BUILD_ID), by which its debugging
 * symbols are found. */

enum { DV_BUILD_ID_TEXT = 2 * 20 + 1 };

/* Of the program, or the module of nginx, that this is linked into, in hexadecimal; "" where it has
 * none. */
void dv_build_id(char out[DV_BUILD_ID_TEXT]);
