# A session through Python's binding to libxenstore: everything it offers, results printed, so that two daemons compare.
import xen.lowlevel.xs

store = xen.lowlevel.xs.xs()


def attempt(what, *args):
    try:
        print(what, args, getattr(store, what)(*args))
    except xen.lowlevel.xs.Error as error:
        print(what, args, "fails:", error.args)


attempt("write", "", "/p/a", "one")
attempt("write", "", "/p/b", "")
attempt("mkdir", "", "/p/c/d")
attempt("read", "", "/p/a")
attempt("read", "", "/p/missing")
attempt("ls", "", "/p")
attempt("ls", "", "/p/missing")
attempt("set_permissions", "", "/p/a", [{"dom": 0}, {"dom": 1, "read": True}, {"dom": 2, "read": True, "write": True}])
attempt("get_permissions", "", "/p/a")
attempt("get_domain_path", 7)

# In a transaction, then one that is lost to a change from outside.
for outside in (False, True):
    transaction = store.transaction_start()
    print("in it", store.read(transaction, "/p/a"))
    if outside:
        store.write("", "/p/a", "changed")
    store.write(transaction, "/p/a", "two")
    print("outside", store.read("", "/p/a"))
    print("committed", store.transaction_end(transaction))
print("after", store.read("", "/p/a"))

store.watch("/p", "a token")
print("event", store.read_watch())
store.write("", "/p/a", "three")
print("event", store.read_watch())
attempt("unwatch", "/p", "a token")
attempt("unwatch", "/p", "a token")

attempt("introduce_domain", 1, 1, 5)
attempt("introduce_domain", 2, 1, 5)
attempt("set_target", 9, 1)
attempt("resume_domain", 1)
attempt("release_domain", 1)
attempt("release_domain", 1)
attempt("rm", "", "/p")
attempt("rm", "", "/p")
attempt("rm", "", "/p/x/y")
store.close()
print("end")
