//! Columns of many rows as PostgreSQL's arrays.

use sea_orm::{
    Value,
    sea_query::{ArrayType, ValueType},
};

/// One value of each row.
pub fn array<R, T: ValueType + Into<Value>>(rows: &[R], value: impl Fn(&R) -> T) -> Value {
    let values = rows.iter().map(|row| value(row).into()).collect();
    let kind: ArrayType = T::array_type();
    Value::Array(kind, Some(Box::new(values)))
}
