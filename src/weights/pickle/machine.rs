//! The pickle machine: turns a pickle's opcodes into plain values. Nothing is called; see [`super::globals`].
//!
//! Values live in one list and name each other by index, so that no pickle, however nested or circular, costs more memory
//! than its own length suggests or overflows the stack when it is dropped. Opcodes: `pickletools` of Python, protocols 2 to 5.

use std::collections::HashMap;

use super::error::PickleError;
use super::globals::Global;
use super::value::{Id, Value, Values};

pub(super) type Result<T> = std::result::Result<T, PickleError>;

/// Reads a pickle to its end.
pub(super) fn run(bytes: &[u8]) -> Result<Values<'_>> {
    let mut machine =
        Machine { rest: bytes, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    loop {
        let opcode = machine.byte()?;
        if opcode == b'.' {
            let root = machine.pop()?;
            return Ok(Values { values: machine.values, root, rest: machine.rest });
        }
        machine.step(opcode)?;
    }
}

pub(super) struct Machine<'a> {
    rest: &'a [u8],
    pub(super) values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
}

impl<'a> Machine<'a> {
    fn step(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            // PROTO, FRAME: versions and lengths that change nothing.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => self.stack.push(self.top()?),
            b'c' | 0x93 => self.global(opcode)?,
            b'q' | b'r' | 0x94 => self.put(opcode)?,
            b'h' | b'j' => self.get(opcode)?,
            b'J' | b'K' | b'M' | 0x8a | 0x8b | 0x88 | 0x89 => self.int(opcode)?,
            b'X' | 0x8c | 0x8d | b'T' | b'U' => self.string(opcode)?,
            b'B' | b'C' | 0x8e | 0x96 => self.bytes(opcode)?,
            b'N' => self.push(Value::Other),
            b'G' => {
                self.take(8)?;
                self.push(Value::Other);
            }
            b')' | b']' => self.push(Value::Seq(Vec::new())),
            b't' | b'l' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Seq(items));
            }
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode) - 0x84)?;
                self.push(Value::Seq(items));
            }
            b'}' => self.push(Value::Dict(Vec::new())),
            b'd' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Dict(pairs(&items)?));
            }
            0x8f => self.push(Value::Other),
            0x91 => {
                self.pop_to_mark()?;
                self.push(Value::Other);
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.set_items(&items)?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(&items)?;
            }
            b'Q' => self.storage()?,
            b'R' | 0x81 => self.reduce()?,
            b'b' => self.build()?,
            _ => return Err(PickleError::Unsupported(format!("its opcode {opcode:#04x}"))),
        }
        Ok(())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) =
            self.rest.split_at_checked(length).ok_or_else(|| PickleError::damaged("the pickle ends early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    /// A whole number of `width` bytes, lowest first, that fits into memory.
    fn length(&mut self, width: usize) -> Result<usize> {
        let bytes = self.take(width)?;
        let value = bytes.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        usize::try_from(value).map_err(PickleError::damaged)
    }

    pub(super) fn push(&mut self, value: Value<'a>) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn top(&self) -> Result<Id> {
        // What lies below a mark belongs to the mark's outside.
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack[floor..].last().copied().ok_or_else(|| PickleError::damaged("the pickle's stack is empty"))
    }

    pub(super) fn pop(&mut self) -> Result<Id> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    pub(super) fn pop_many(&mut self, count: usize) -> Result<Vec<Id>> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<Id>>>()?;
        items.reverse();
        Ok(items)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| PickleError::damaged("the pickle lacks a mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn global(&mut self, opcode: u8) -> Result<()> {
        let (module, name) = if opcode == b'c' {
            (self.line()?, self.line()?)
        } else {
            let parts = self.pop_many(2)?;
            match (&self.values[parts[0]], &self.values[parts[1]]) {
                (Value::Str(module), Value::Str(name)) => (*module, *name),
                _ => return Err(PickleError::damaged("a class without a name")),
            }
        };
        let global = Global::find(module, name)?;
        self.push(Value::Global(global));
        Ok(())
    }

    fn line(&mut self) -> Result<&'a str> {
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or_else(|| PickleError::damaged("the pickle ends early"))?;
        let line = self.take(end)?;
        self.take(1)?;
        text(line)
    }

    fn put(&mut self, opcode: u8) -> Result<()> {
        let key = match opcode {
            b'q' => self.length(1)?,
            b'r' => self.length(4)?,
            _ => self.memo.len(),
        };
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn get(&mut self, opcode: u8) -> Result<()> {
        let key = self.length(if opcode == b'h' { 1 } else { 4 })?;
        let id = self.memo.get(&key).ok_or_else(|| PickleError::damaged("the pickle names a value it has not"))?;
        self.stack.push(*id);
        Ok(())
    }

    fn int(&mut self, opcode: u8) -> Result<()> {
        let width = match opcode {
            b'J' => 4,
            b'K' => 1,
            b'M' => 2,
            0x8a => self.length(1)?,
            0x8b => self.length(4)?,
            _ => 0,
        };
        let signed = !matches!(opcode, b'K' | b'M');
        let bytes = self.take(width)?;
        let negative = signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let value = match (opcode, width) {
            (0x88, _) => Value::Int(1),
            (_, 0..=8) => {
                let start = if negative { -1 } else { 0 };
                Value::Int(bytes.iter().rev().fold(start, |value: i64, byte| value << 8 | i64::from(*byte)))
            }
            _ => Value::Other,
        };
        self.push(value);
        Ok(())
    }

    fn string(&mut self, opcode: u8) -> Result<()> {
        let width = match opcode {
            0x8c | b'U' => 1,
            0x8d => 8,
            _ => 4,
        };
        let length = self.length(width)?;
        let bytes = self.take(length)?;
        // Strings of Python 2 may be any bytes; names are not.
        let value = match std::str::from_utf8(bytes) {
            Ok(text) => Value::Str(text),
            Err(_) => Value::Other,
        };
        self.push(value);
        Ok(())
    }

    fn bytes(&mut self, opcode: u8) -> Result<()> {
        let width = match opcode {
            b'C' => 1,
            b'B' => 4,
            _ => 8,
        };
        let length = self.length(width)?;
        self.take(length)?;
        self.push(Value::Other);
        Ok(())
    }

    fn append(&mut self, items: Vec<Id>) -> Result<()> {
        let top = self.top()?;
        match &mut self.values[top] {
            Value::Seq(list) => list.extend(items),
            Value::Other | Value::Object(_) => {}
            _ => return Err(PickleError::damaged("items for something that is no list")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<()> {
        let top = self.top()?;
        match &mut self.values[top] {
            Value::Dict(dict) => dict.extend(pairs(items)?),
            Value::Other | Value::Object(_) => {}
            _ => return Err(PickleError::damaged("keys for something that is no dict")),
        }
        Ok(())
    }

    /// A state for an object; those of dicts and tensors hold nothing that is needed.
    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        let top = self.top()?;
        if let Value::Object(old) = &mut self.values[top] {
            *old = Some(state);
        }
        Ok(())
    }
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| PickleError::damaged("a name that is no text"))
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>> {
    if !items.len().is_multiple_of(2) {
        return Err(PickleError::damaged("a key without a value"));
    }
    Ok(items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}
