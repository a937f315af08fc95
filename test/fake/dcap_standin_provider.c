// SPDX-License-Identifier: Apache-2.0
/* The quote provider's file name and the one function that says what it is. */
int sgx_ql_get_quote_config(void) { return 0xE011; }
