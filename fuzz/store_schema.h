/*
 * store_schema.h - the tables of a store of campaigns. Who reads one may rely on them as long as
 * the version is this.
 */
#ifndef MOE_STORE_SCHEMA_H
#define MOE_STORE_SCHEMA_H

/* PRAGMA user_version of a store; 0 is a file without tables. */
#define MOE_STORE_VERSION 1

/* Statements that make the tables and set the version. */
extern const char moe_store_schema[];

#endif
