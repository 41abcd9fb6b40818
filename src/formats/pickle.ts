/**
 * Interprets the opcodes of Python's pickles (https://docs.python.org/3/library/pickletools.html) that torch.save writes, as
 * data: no name is looked up, and nothing is called except the functions that the caller gives. The work is linear in the
 * pickle's length; numbers of values, containers and bytes are bounded. No value of the pickle is ever a property of an
 * object here: dictionaries are maps, and everything else that a pickle could set is dropped.
 */
import type { DataError } from '../errors.ts';
import { PickleInput } from './pickle_input.ts';
import { PickleGlobal, PickleObject, SKIPPED } from './pickle_values.ts';

/** A tensor takes about 45 steps, so this is enough for 46,000, which is several times what any image classifier saves. */
const MAX_STEPS = 2 ** 21;
/** Lists, tuples, dictionaries, objects and names; a tensor takes about seven. */
const MAX_CONTAINERS = 2 ** 18;
/** A tensor takes two or three: its key, that of its storage, and the device. */
const MAX_TEXTS = 2 ** 17;

export interface PickleHandlers {
  /** The value of a function for these arguments; undefined for any function that is not to be carried out. */
  call(name: string, args: readonly unknown[]): unknown;
  /** The value of a persistent id. @param where place in the file, for messages */
  persistent(id: unknown, where: string): unknown;
}

/**
 * Interprets one pickle.
 *
 * @param start offset of the pickle in `bytes`
 * @param where the file and the part of it, for messages
 * @returns the value, and the offset of the byte after the pickle. Values are null, booleans, numbers, strings, arrays (lists,
 *   tuples and sets), maps, {@link PickleGlobal}, {@link PickleObject}, {@link SKIPPED}, or what the handlers return
 * @throws DataError naming the place: truncated, an opcode that torch.save does not write, or more values than any checkpoint
 */
export function readPickle(
  bytes: Uint8Array,
  start: number,
  where: string,
  handlers: PickleHandlers,
): { readonly value: unknown; readonly end: number } {
  const input = new PickleInput(bytes, start, where);
  return { value: new PickleMachine(input, handlers).run(), end: input.at };
}

/** The stack, the marks and the memo of a pickle, on which its opcodes work. */
class PickleMachine {
  readonly #input: PickleInput;
  readonly #handlers: PickleHandlers;
  readonly #stack: unknown[] = [];
  /** Heights of the stack at its marks. */
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, unknown>();
  readonly #globals = new Map<string, PickleGlobal>();
  #containers = 0;
  #texts = 0;
  /** Pairs that calls of OrderedDict may still copy. */
  #copies = MAX_CONTAINERS;

  constructor(input: PickleInput, handlers: PickleHandlers) {
    this.#input = input;
    this.#handlers = handlers;
  }

  run(): unknown {
    for (let step = 0; step < MAX_STEPS; step++) {
      const opcode = this.#input.opcode();
      if (opcode === 0x2e) return this.#pop();
      this.#execute(opcode);
    }
    throw this.#input.refusal(`has more than ${MAX_STEPS} values, more than any checkpoint; save the weights alone`);
  }

  #execute(opcode: number): void {
    switch (opcode) {
      case 0x80: // PROTO
        if (this.#input.uint8() > 5)
          throw this.#input.refusal('is of a newer protocol; save it with pickle_protocol=2');
        return;
      case 0x95: // FRAME
        this.#input.skip(8);
        return;
      case 0x28: // MARK
        this.#marks.push(this.#stack.length);
        return;
      case 0x30: // POP
        if (this.#marks.at(-1) === this.#stack.length) this.#marks.pop();
        else this.#pop();
        return;
      case 0x31: // POP_MARK
        this.#popMark();
        return;
      case 0x32: // DUP
        this.#stack.push(this.#top());
        return;
      case 0x4e: // NONE
        this.#stack.push(null);
        return;
      case 0x88: // NEWTRUE
      case 0x89: // NEWFALSE
        this.#stack.push(opcode === 0x88);
        return;
      case 0x4a: // BININT
        this.#stack.push(this.#input.int32());
        return;
      case 0x4b: // BININT1
        this.#stack.push(this.#input.uint8());
        return;
      case 0x4d: // BININT2
        this.#stack.push(this.#input.uint16());
        return;
      case 0x8a: // LONG1
        this.#stack.push(this.#input.integer(this.#input.uint8()));
        return;
      case 0x8b: // LONG4
        this.#stack.push(this.#input.integer(this.#input.int32()));
        return;
      case 0x47: // BINFLOAT
        this.#stack.push(this.#input.float64());
        return;
      case 0x49: // INT
      case 0x4c: // LONG
      case 0x46: // FLOAT
        this.#stack.push(this.#input.number());
        return;
      case 0x55: // SHORT_BINSTRING
      case 0x8c: // SHORT_BINUNICODE
        this.#text(this.#input.uint8());
        return;
      case 0x54: // BINSTRING
      case 0x58: // BINUNICODE
        this.#text(this.#input.uint32());
        return;
      case 0x8d: // BINUNICODE8
        this.#text(this.#input.length64());
        return;
      case 0x43: // SHORT_BINBYTES
        this.#skipBytes(this.#input.uint8());
        return;
      case 0x42: // BINBYTES
        this.#skipBytes(this.#input.uint32());
        return;
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        this.#skipBytes(this.#input.length64());
        return;
      case 0x71: // BINPUT
        this.#memo.set(this.#input.uint8(), this.#top());
        return;
      case 0x72: // LONG_BINPUT
        this.#memo.set(this.#input.uint32(), this.#top());
        return;
      case 0x94: // MEMOIZE
        this.#memo.set(this.#memo.size, this.#top());
        return;
      case 0x68: // BINGET
        this.#remember(this.#input.uint8());
        return;
      case 0x6a: // LONG_BINGET
        this.#remember(this.#input.uint32());
        return;
      default:
        this.#build(opcode);
    }
  }

  /** The opcodes that make and fill containers and objects. */
  #build(opcode: number): void {
    switch (opcode) {
      case 0x7d: // EMPTY_DICT
        this.#push(new Map());
        return;
      case 0x5d: // EMPTY_LIST
      case 0x29: // EMPTY_TUPLE
      case 0x8f: // EMPTY_SET
        this.#push([]);
        return;
      case 0x74: // TUPLE
      case 0x6c: // LIST
      case 0x91: // FROZENSET
        this.#push(this.#popMark());
        return;
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        this.#push(this.#popMany(opcode - 0x84));
        return;
      case 0x64: // DICT
        this.#setItems(new Map(), this.#popMark());
        return;
      case 0x73: // SETITEM
        this.#setItems(undefined, this.#popMany(2));
        return;
      case 0x75: // SETITEMS
        this.#setItems(undefined, this.#popMark());
        return;
      case 0x61: // APPEND
        this.#append(this.#popMany(1));
        return;
      case 0x65: // APPENDS
      case 0x90: // ADDITEMS
        this.#append(this.#popMark());
        return;
      case 0x63: // GLOBAL
        this.#stack.push(this.#global(this.#input.line(), this.#input.line()));
        return;
      case 0x93: {
        // STACK_GLOBAL
        const [module, name] = this.#popMany(2);
        this.#stack.push(this.#global(module, name));
        return;
      }
      case 0x69: {
        // INST
        const global = this.#global(this.#input.line(), this.#input.line());
        this.#call(global, this.#popMark());
        return;
      }
      case 0x6f: {
        // OBJ
        const [global, ...args] = this.#popMark();
        this.#call(global, args);
        return;
      }
      case 0x52: // REDUCE
      case 0x81: {
        // NEWOBJ
        const [global, args] = this.#popMany(2);
        this.#call(global, args);
        return;
      }
      case 0x92: {
        // NEWOBJ_EX
        const [global, args] = this.#popMany(3);
        this.#call(global, args);
        return;
      }
      case 0x62: // BUILD
        this.#pop();
        this.#top();
        return;
      case 0x51: // BINPERSID
        this.#push(this.#handlers.persistent(this.#pop(), this.#input.place()));
        return;
      default: {
        const hex = opcode.toString(16).padStart(2, '0');
        throw this.#input.refusal(
          `has an opcode that torch.save does not write (0x${hex}); give the file that torch.save wrote`,
        );
      }
    }
  }

  #text(length: number): void {
    if (++this.#texts > MAX_TEXTS)
      throw this.#input.refusal(`has more than ${MAX_TEXTS} texts; save the weights alone`);
    this.#stack.push(this.#input.text(length));
  }

  #skipBytes(length: number): void {
    this.#input.skip(length);
    this.#stack.push(SKIPPED);
  }

  #damaged(problem: string): DataError {
    return this.#input.damaged(problem);
  }

  #global(module: unknown, name: unknown): PickleGlobal {
    if (typeof module !== 'string' || typeof name !== 'string') throw this.#damaged('has a name that is no text');
    const full = `${module}.${name}`;
    const known = this.#globals.get(full);
    if (known) return known;
    this.#count();
    const added = new PickleGlobal(full);
    this.#globals.set(full, added);
    return added;
  }

  #remember(index: number): void {
    if (!this.#memo.has(index)) throw this.#damaged(`repeats a value that it does not have (${index})`);
    this.#stack.push(this.#memo.get(index));
  }

  #push(container: unknown): void {
    this.#count();
    this.#stack.push(container);
  }

  #count(): void {
    if (++this.#containers > MAX_CONTAINERS) {
      throw this.#input.refusal(`has more than ${MAX_CONTAINERS} lists and dictionaries; save the weights alone`);
    }
  }

  #top(): unknown {
    if (this.#stack.length <= (this.#marks.at(-1) ?? 0)) throw this.#damaged('takes a value that is not there');
    return this.#stack[this.#stack.length - 1];
  }

  #pop(): unknown {
    const value = this.#top();
    this.#stack.length--;
    return value;
  }

  #popMany(count: number): unknown[] {
    const from = this.#stack.length - count;
    if (from < (this.#marks.at(-1) ?? 0)) throw this.#damaged('takes a value that is not there');
    return this.#stack.splice(from);
  }

  #popMark(): unknown[] {
    const from = this.#marks.pop();
    if (from === undefined) throw this.#damaged('takes values of a list that is not there');
    return this.#stack.splice(from);
  }

  #append(values: readonly unknown[]): void {
    const target = this.#top();
    // The items of a list that is an object of another class are not needed.
    if (target instanceof PickleObject) return;
    if (!Array.isArray(target)) throw this.#damaged('appends to something that is not a list');
    for (const value of values) target.push(value);
  }

  /** @param target undefined for the value on the stack */
  #setItems(target: Map<unknown, unknown> | undefined, items: readonly unknown[]): void {
    if (target) this.#push(target);
    const top = this.#top();
    if (top instanceof PickleObject) top.items ??= new Map();
    const map = top instanceof PickleObject ? top.items : top;
    if (!(map instanceof Map) || items.length % 2 !== 0)
      throw this.#damaged('sets items of something else than a dictionary');
    for (let i = 0; i < items.length; i += 2) map.set(items[i], items[i + 1]);
  }

  #call(callee: unknown, args: unknown): void {
    if (!Array.isArray(args) || !(callee instanceof PickleGlobal || callee instanceof PickleObject)) {
      throw this.#damaged('calls something that is no function');
    }
    this.#push(callee instanceof PickleObject ? new PickleObject(callee.name) : this.#result(callee.name, args));
  }

  #result(name: string, args: readonly unknown[]): unknown {
    if (name === 'collections.OrderedDict') return this.#orderedDict(args[0] ?? []);
    if (name === 'collections.defaultdict') return new Map();
    return this.#handlers.call(name, args) ?? new PickleObject(name);
  }

  #orderedDict(pairs: unknown): Map<unknown, unknown> {
    if (pairs instanceof Map) return this.#orderedDict([...pairs]);
    if (!Array.isArray(pairs)) throw this.#damaged('fills a dictionary from something else than pairs');
    this.#copies -= pairs.length;
    if (this.#copies < 0) throw this.#input.refusal('copies the same dictionary many times; save the weights alone');
    const map = new Map<unknown, unknown>();
    for (const pair of pairs) {
      if (!Array.isArray(pair) || pair.length !== 2)
        throw this.#damaged('fills a dictionary from something else than pairs');
      map.set(pair[0], pair[1]);
    }
    return map;
  }
}
