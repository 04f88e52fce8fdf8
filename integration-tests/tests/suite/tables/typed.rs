//! Key-value tables whose keys and values are types of the program.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use pravega_sdk_controller_client::KeyValueTableConfiguration;
use pravega_sdk_event_stream::codec::{BigEndian, Codec, CodecError, Encode, Utf8};
use pravega_sdk_integration_tests::harness::factory;
use pravega_sdk_table_synchronizer::{Key, KeyValueTable, Keys, Update};
use pravega_sdk_types::{ErrorKind, Outcome};

use super::segments::new_table;

/// A customer, and the number of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Order(u32, u16);

/// Keys of both, in 4 and 2 bytes.
struct Orders;

impl Codec for Orders {
    type Event = Order;

    fn decode(&self, mut bytes: Bytes) -> Result<Order, CodecError> {
        let order = bytes.split_off(4);
        let customer = BigEndian::<u32>::new().decode(bytes)?;
        Ok(Order(customer, BigEndian::<u16>::new().decode(order)?))
    }
}

impl Encode<Order> for Orders {
    fn encode(&self, order: Order) -> Result<Bytes, CodecError> {
        Ok([&order.0.to_be_bytes()[..], &order.1.to_be_bytes()].concat().into())
    }
}

async fn create(primary: u32, secondary: u32) -> KeyValueTable {
    let factory = factory().await;
    let name = new_table(&factory).await;
    let configuration =
        KeyValueTableConfiguration::new(3, primary).with_secondary_key_length(secondary);
    factory.controller().create_key_value_table(&name, &configuration).await.unwrap();
    factory.key_value_table(&name).await.unwrap()
}

#[tokio::test]
async fn keys_and_values_are_what_the_codecs_make_of_them() {
    let raw = create(4, 2).await;
    let table = raw.clone().with_codecs(Orders, Utf8);
    let first = table.insert(Order(7, 1), "pears").await.unwrap();
    assert_eq!(
        table.insert(Order(7, 1), "x").await.unwrap_err().kind(),
        ErrorKind::ConditionFailed
    );
    let second = table.put_at(Order(7, 1), "plums", first).await.unwrap();
    for customer in (0..20).rev() {
        table.put(Order(customer, 300), customer.to_string()).await.unwrap();
    }
    let found = table.get(Order(7, 1)).await.unwrap().unwrap();
    assert_eq!((found.key, &found.value[..], found.version), (Order(7, 1), "plums", second));
    let found = table.get_all([Order(3, 300), Order(3, 1)]).await.unwrap();
    let values: Vec<_> = found.into_iter().map(|entry| entry.map(|entry| entry.value)).collect();
    assert_eq!(values, [Some("3".to_owned()), None]);
    let all: Vec<_> = table.entries(&Keys::all()).unwrap().try_collect().await.unwrap();
    let keys: Vec<Order> = all.iter().map(|entry| entry.key).collect();
    assert!(keys.is_sorted() && keys.len() == 21, "{keys:?}");
    // The primary key is what comes first.
    let stored = Key::new(vec![0, 0, 0, 7]).with_secondary(vec![0, 1]);
    assert_eq!(raw.get(stored).await.unwrap().unwrap().value, "plums");
    let of_7: Vec<_> =
        table.entries(&Keys::of(vec![0, 0, 0, 7])).unwrap().try_collect().await.unwrap();
    assert_eq!(
        of_7.iter().map(|entry| entry.key).collect::<Vec<_>>(),
        [Order(7, 1), Order(7, 300)]
    );
    assert_eq!(
        table.remove_at(Order(7, 1), first).await.unwrap_err().kind(),
        ErrorKind::ConditionFailed
    );
    table.remove_at(Order(7, 1), second).await.unwrap();
    table.remove(Order(7, 1)).await.unwrap();
    assert!(!table.exists(Order(7, 1)).await.unwrap());
}

#[tokio::test]
async fn a_key_of_another_length_and_a_value_of_another_codec_are_refused() {
    let raw = create(4, 0).await;
    let table = raw.clone().with_codecs(Utf8, BigEndian::<u64>::new());
    let error = table.put("plums", 3).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::InvalidArgument, Outcome::NotApplied));
    let text = error.to_string();
    assert!(text.contains("the key has 5 bytes, and those of the table 4"), "{text}");
    assert!(text.contains(&raw.table().to_string()), "{text}");
    let version = raw.put("plum", "three").await.unwrap();
    let error = table.get("plum").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Corrupt, Outcome::NotApplied));
    let text = error.to_string();
    assert!(text.contains(&format!("the value of version {version} cannot be decoded")), "{text}");
    let first = table.entries(&Keys::all()).unwrap().try_next().await.unwrap_err();
    assert_eq!(first.kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn clients_agree_on_keys_and_values_of_the_program_s_own_types() {
    let factory = factory().await;
    let name = new_table(&factory).await;
    let mut one = factory.table_synchronizer(&name, Orders, Orders).await.unwrap();
    let mut other = factory.table_synchronizer(&name, Orders, Orders).await.unwrap();
    let first = one.update(|follows| follows.put(Order(7, 2), Order(7, 1)));
    assert_eq!(first.await.unwrap(), Update::Made(()));
    // Made of an old copy: the function runs again, and sees the value of the other client.
    let chained = other.update(|follows| {
        let before = follows.get(Order(7, 2))?;
        follows.put(Order(7, 3), Order(7, 2))?;
        Ok(before)
    });
    assert_eq!(chained.await.unwrap(), Update::Made(Some(Order(7, 1))));
    assert_eq!(one.fetch().await.unwrap(), 1, "the other client's entry");
    let entries: Vec<_> = one.state().entries().collect::<Result<_, _>>().unwrap();
    assert_eq!(entries, [(Order(7, 2), Order(7, 1)), (Order(7, 3), Order(7, 2))]);
    // A value that the types do not have is named by what cannot be decoded.
    let mut texts = factory.table_synchronizer(&name, Orders, Utf8).await.unwrap();
    texts.update(|follows| follows.put(Order(7, 2), "a text of another length")).await.unwrap();
    one.fetch().await.unwrap();
    let error = one.state().get(Order(7, 2)).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Corrupt, Outcome::NotApplied));
}
