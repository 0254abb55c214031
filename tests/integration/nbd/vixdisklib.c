/* Copyright (c) 2026 the vdisk.lifecycle authors
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A libvixDiskLib for tests: the interface that VMware documents, as far as nbdkit calls it, over
 * the file that vddk.image in its folder names. What it was asked
 * for goes into vddk.seen.
 */

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
#include <sys/stat.h>

#define SECTOR 512

typedef uint64_t Error;
enum { OK = 0, FAIL = 1, NO_ACCESS = 13 };
typedef void Log(const char *format, va_list arguments);
typedef void Done(void *data, Error result);

/* VixDiskLibConnectParams, VixDiskLibInfo and VixDiskLibBlockList of the VDDK programming guide */
typedef struct {
  char *vm, *server, *thumbprint;
  long reserved1;
  int credentials;
  union {
    struct { char *user, *password; } uid;
    struct { char *cookie, *user, *key; } session;
  } login;
  uint32_t port, nfc_port;
  char *reserved2;
  char reserved3[8];
  void *reserved4;
  struct { char *id, *datastore, *snapshot; } object;
  int kind;
} Params;

typedef struct {
  uint32_t bios[3], physical[3];
  uint64_t sectors;
  int adapter, links;
  char *parent, *uuid;
  uint32_t logical, block;
} Info;

typedef struct {
  uint32_t count;
  struct { uint64_t offset, length; } blocks[4096];
} Blocks;

static char folder[4096];
static int image = -1;

static FILE *beside(const char *name, const char *mode)
{
  char path[5000];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return fopen(path, mode);
}

static void seen(const char *what, const char *value)
{
  FILE *file = beside("vddk.seen", "a");
  if (file != NULL) {
    fprintf(file, "%s=%s\n", what, value ? value : "");
    fclose(file);
  }
}

Error VixDiskLib_InitEx(uint32_t major, uint32_t minor, Log *log, Log *warn, Log *panic,
                        const char *libdir, const char *configuration)
{
  (void)major, (void)minor, (void)log, (void)warn, (void)panic;
  snprintf(folder, sizeof folder, "%s", libdir);
  seen("configuration", configuration);
  return OK;
}

void VixDiskLib_Exit(void) { seen("exit", "1"); }

char *VixDiskLib_GetErrorText(Error error, const char *locale)
{
  (void)locale;
  return strdup(error == NO_ACCESS ? "You do not have access rights to this file" : "failed");
}

void VixDiskLib_FreeErrorText(char *text) { free(text); }
Params *VixDiskLib_AllocateConnectParams(void) { return calloc(1, sizeof(Params)); }
void VixDiskLib_FreeConnectParams(Params *params) { free(params); }

Error VixDiskLib_ConnectEx(const Params *params, char read_only, const char *snapshot,
                           const char *modes, void **connection)
{
  seen("server", params->server);
  seen("vm", params->vm);
  seen("thumbprint", params->thumbprint);
  seen("user", params->login.uid.user);
  seen("password", params->login.uid.password);
  seen("read_only", read_only ? "1" : "0");
  seen("snapshot", snapshot);
  seen("modes", modes);
  *connection = folder;
  return OK;
}

Error VixDiskLib_Disconnect(void *connection) { (void)connection; return OK; }

Error VixDiskLib_Open(void *connection, const char *path, uint32_t flags, void **handle)
{
  char name[4096] = "";
  FILE *file = beside("vddk.image", "r");
  (void)connection, (void)flags;
  seen("path", path);
  if (strstr(path, "broken") != NULL)
    return NO_ACCESS;
  if (file == NULL || fgets(name, sizeof name, file) == NULL)
    return FAIL;
  fclose(file);
  image = open(name, O_RDONLY);
  *handle = &image;
  return image < 0 ? FAIL : OK;
}

Error VixDiskLib_Close(void *handle)
{
  (void)handle;
  seen("close", "1");
  close(image);
  return OK;
}

const char *VixDiskLib_GetTransportMode(void *handle) { (void)handle; return "nbdssl"; }

Error VixDiskLib_GetInfo(void *handle, Info **info)
{
  struct stat status;
  (void)handle;
  *info = calloc(1, sizeof(Info));
  if (fstat(image, &status) < 0)
    return FAIL;
  (*info)->sectors = status.st_size / SECTOR;
  (*info)->logical = (*info)->block = SECTOR;
  return OK;
}

void VixDiskLib_FreeInfo(Info *info) { free(info); }

static Error read_sectors(uint64_t start, uint64_t count, unsigned char *buffer)
{
  if (count * SECTOR > 2 << 20) {
    seen("too long", "1");
    return FAIL;
  }
  return pread(image, buffer, count * SECTOR, start * SECTOR) == (ssize_t)(count * SECTOR)
    ? OK : FAIL;
}

Error VixDiskLib_Read(void *handle, uint64_t start, uint64_t count, unsigned char *buffer)
{
  (void)handle;
  return read_sectors(start, count, buffer);
}

Error VixDiskLib_ReadAsync(void *handle, uint64_t start, uint64_t count, unsigned char *buffer,
                           Done *done, void *data)
{
  (void)handle;
  done(data, read_sectors(start, count, buffer));
  return 25000; /* VIX_ASYNC */
}

Error VixDiskLib_Write(void *handle, uint64_t start, uint64_t count, const unsigned char *buffer)
{
  (void)handle, (void)start, (void)count, (void)buffer;
  seen("write", "1");
  return FAIL;
}

Error VixDiskLib_WriteAsync(void *handle, uint64_t start, uint64_t count,
                            const unsigned char *buffer, Done *done, void *data)
{
  (void)handle, (void)start, (void)count, (void)buffer;
  seen("write", "1");
  done(data, FAIL);
  return 25000;
}

Error VixDiskLib_Create(void *connection, const char *path, const void *params, void *a, void *b)
{
  (void)connection, (void)path, (void)params, (void)a, (void)b;
  return FAIL;
}

Error VixDiskLib_Flush(void *handle) { (void)handle; return OK; }
Error VixDiskLib_Wait(void *handle) { (void)handle; return OK; }

/* As many chunks as hold anything but zeros. */
Error VixDiskLib_QueryAllocatedBlocks(void *handle, uint64_t start, uint64_t count,
                                      uint64_t chunk, Blocks **found)
{
  unsigned char *buffer = malloc(chunk * SECTOR);
  (void)handle;
  *found = calloc(1, sizeof(Blocks));
  for (uint64_t at = start; at + chunk <= start + count && (*found)->count < 4096; at += chunk) {
    ssize_t length = pread(image, buffer, chunk * SECTOR, at * SECTOR);
    for (ssize_t byte = 0; byte < length; ++byte)
      if (buffer[byte] != 0) {
        (*found)->blocks[(*found)->count].offset = at;
        (*found)->blocks[(*found)->count++].length = chunk;
        break;
      }
  }
  free(buffer);
  return OK;
}

void VixDiskLib_FreeBlockList(Blocks *found) { free(found); }
