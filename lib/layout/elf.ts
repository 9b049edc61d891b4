// The headers of an ELF core file of a guest (System V ABI, elf.h): a loadable segment for each range of its RAM, by physical
// address, as gdb and crash read it. xl's dumps carry notes and page tables besides (xen, dump-core-format.txt): none are needed
// for RAM in few pieces.
import { bytes, struct, u16, u32, u64 } from './struct.js';

const ELF64_EHDR = struct(
  'Elf64_Ehdr',
  {
    ...{ e_ident: bytes(16), e_type: u16, e_machine: u16, e_version: u32, e_entry: u64, e_phoff: u64, e_shoff: u64 },
    ...{ e_flags: u32, e_ehsize: u16, e_phentsize: u16, e_phnum: u16, e_shentsize: u16, e_shnum: u16, e_shstrndx: u16 },
  },
  { size: 64 },
);
const ELF64_PHDR = struct(
  'Elf64_Phdr',
  {
    ...{ p_type: u32, p_flags: u32, p_offset: u64, p_vaddr: u64, p_paddr: u64, p_filesz: u64, p_memsz: u64 },
    ...{ p_align: u64 },
  },
  { size: 56 },
);
/** Magic, 64-bit, little-endian, version 1. */
const IDENT = Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1);
const ET_CORE = 4;
const EM_X86_64 = 62;
const EV_CURRENT = 1;
const PT_LOAD = 1;
const PF_RWX = 7;
/** Where the memory begins in the file: page-aligned, so that it can be mapped. */
export const CORE_DATA_AT = 4096;

/** What stands before the memory in a core file: a byte of RAM follows it at its address. */
export function coreHeader(ram: readonly { readonly offset: number; readonly size: number }[]): Uint8Array {
  const header = new Uint8Array(CORE_DATA_AT);
  const none = { e_entry: 0n, e_shoff: 0n, e_flags: 0, e_shentsize: 0, e_shnum: 0, e_shstrndx: 0 };
  ELF64_EHDR.encode(
    {
      ...{ ...none, e_ident: IDENT, e_type: ET_CORE, e_machine: EM_X86_64, e_version: EV_CURRENT },
      ...{ e_phoff: BigInt(ELF64_EHDR.size), e_ehsize: ELF64_EHDR.size, e_phentsize: ELF64_PHDR.size },
      e_phnum: ram.length,
    },
    header,
  );
  for (const [index, range] of ram.entries()) {
    const [base, size] = [BigInt(range.offset), BigInt(range.size)];
    ELF64_PHDR.encode(
      {
        ...{ p_type: PT_LOAD, p_flags: PF_RWX, p_offset: BigInt(CORE_DATA_AT) + base, p_vaddr: base, p_paddr: base },
        ...{ p_filesz: size, p_memsz: size, p_align: BigInt(CORE_DATA_AT) },
      },
      header,
      ELF64_EHDR.size + index * ELF64_PHDR.size,
    );
  }
  return header;
}
