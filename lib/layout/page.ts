// The page of x86-64, in which Xen, Linux and every shared area of theirs count.
export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 1 << PAGE_SHIFT;
