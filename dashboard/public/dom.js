// Small things for building the page: elements, and lists whose elements stay the same while their items do, so that what has the
// keyboard's focus keeps it.
export function element(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (name in made && name !== 'list') made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

/** Makes `parent` hold one element an item, in their order: made by `make`, then told each time by `update`. */
export function keyed(parent, items, key, make, update) {
  const known = (parent.known ??= new Map());
  const wanted = new Set(items.map(key));
  for (const [name, made] of known) {
    if (wanted.has(name)) continue;
    made.remove();
    known.delete(name);
  }
  for (const [index, item] of items.entries()) {
    let made = known.get(key(item));
    if (made === undefined) {
      made = make(item);
      known.set(key(item), made);
    }
    if (parent.children[index] !== made) parent.insertBefore(made, parent.children[index] ?? null);
    update(made, item);
  }
}

/** What the server answers; undefined when it is gone, which the top of the page says. */
export async function asked(path, options) {
  try {
    return await fetch(path, options);
  } catch {
    return undefined;
  }
}
