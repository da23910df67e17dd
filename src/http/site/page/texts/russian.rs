//! Russian.

use order::InvalidUid;

use super::{Items, Message, Order, Payment, Record, Texts};

pub(in super::super) static RUSSIAN: Texts = Texts {
    language: "Русский",
    months: [
        "января",
        "февраля",
        "марта",
        "апреля",
        "мая",
        "июня",
        "июля",
        "августа",
        "сентября",
        "октября",
        "ноября",
        "декабря",
    ],
    find_an_order: "Найти заказ",
    type_the_id: "Введите номер заказа или вставьте адрес его страницы.",
    for_example: "Например,",
    order_id: "Номер заказа",
    find: "Найти",
    not_given: "не указано",
    order: Order {
        title: "Заказ",
        placed: "Оформлен",
        track_number: "Трек-номер",
        carrier: "Служба доставки",
        delivery: "Доставка",
        name: "Получатель",
        address: "Адрес",
        city: "Город",
        region: "Регион",
        postal_code: "Индекс",
        phone: "Телефон",
        email: "Эл. почта",
        as_json: "Этот заказ в JSON",
        copy_link: "Скопировать ссылку",
        link_copied: "Ссылка скопирована.",
        link_not_copied: "Не удалось скопировать ссылку.",
    },
    payment: Payment {
        title: "Оплата",
        amount: "Сумма",
        paid: "Оплачен",
        bank: "Банк",
        provider: "Провайдер",
        transaction: "Транзакция",
        request: "Запрос",
        goods: "Товары",
        customs: "Пошлина",
        read_as_minor_units: "В заказе стоят целые числа; они прочитаны как минимальные единицы валюты, например копейки.",
        read_as_major_units: "В заказе стоят целые числа; они прочитаны как основные единицы валюты, например рубли, а не копейки.",
    },
    items: Items {
        title: "Товары",
        prices_in: "цены в",
        none: "В этом заказе нет товаров.",
        name: "Название",
        brand: "Бренд",
        size: "Размер",
        article: "Артикул",
        status: "Код статуса",
        price: "Цена",
        sale: "Скидка",
        total: "Итого",
    },
    record: Record {
        title: "Служебные данные",
        customer: "Покупатель",
        entry: "Источник",
        locale: "Язык",
        signature: "Подпись",
        shard_key: "Ключ шарда",
        storage_id: "Номер хранилища",
        out_of_order_shard: "Запасной шард",
    },
    no_such_order: Message {
        title: "Такого заказа нет",
        text: |uid| format!("Заказ с номером {uid} здесь неизвестен."),
        advice: "Проверьте номер: прописные и строчные буквы различаются. Только что оформленный заказ может появиться не сразу.",
    },
    erased: Message {
        title: "Заказ удалён",
        text: |uid| format!("Заказ с номером {uid} удалён, его данные здесь больше не хранятся."),
        advice: "Восстановить его нельзя. О причине можно узнать у тех, кто отвечает за этот сервис.",
    },
    cannot_tell: Message {
        title: "Сейчас ответить нельзя",
        text: |seconds| {
            format!(
                "Сейчас нельзя сказать, есть ли такой заказ. Обновите страницу через {seconds} с."
            )
        },
        advice: "База данных сейчас не отвечает. Заказы при этом не теряются.",
    },
    not_an_id: Message {
        title: "Это не номер заказа",
        text: |why| format!("Номер заказа таким быть не может: {why}."),
        advice: "В номере от 1 до 128 знаков: латинские буквы, цифры и - . _ ~",
    },
    no_such_page: Message {
        title: "Такой страницы нет",
        text: |_| "По этому адресу страницы нет.".to_owned(),
        advice: "Страница заказа находится по адресу /orders/ с его номером.",
    },
    method: Message {
        title: "Метод не поддерживается",
        text: |allowed| format!("Эту страницу можно запросить только методами {allowed}."),
        advice: "Здесь заказы можно только искать, изменить их нельзя.",
    },
    internal: Message {
        title: "Что-то пошло не так",
        text: |_| {
            "Страницу не удалось составить. Это наша ошибка, она записана в журнал.".to_owned()
        },
        advice: "Попробуйте ещё раз; если не поможет, сообщите тем, кто отвечает за этот сервис.",
    },
    no_token: Message {
        title: "Нужен токен доступа",
        text: |_| "Заказы видны только с токеном доступа, а в этом запросе его нет.".to_owned(),
        advice: "Откройте эту страницу по адресу, где вы входите в систему своей организации. Если такого нет, обратитесь к тем, кто отвечает за этот сервис.",
    },
    bad_token: Message {
        title: "Токен доступа не принят",
        text: |_| "Токен доступа в этом запросе истёк или выдан не для этого сервиса.".to_owned(),
        advice: "Войдите ещё раз и обновите страницу. Если не поможет, сообщите тем, кто отвечает за этот сервис.",
    },
    not_allowed: Message {
        title: "Нет права видеть заказы",
        text: |_| "Ваш токен доступа действителен, но не даёт права видеть заказы.".to_owned(),
        advice: "Попросите тех, кто выдаёт доступ, о праве orders:read или, чтобы видеть заказы без личных данных, orders:read:masked.",
    },
    cannot_verify: Message {
        title: "Сейчас доступ проверить нельзя",
        text: |seconds| {
            format!(
                "Сейчас нельзя сказать, действителен ли ваш токен доступа. Обновите страницу через {seconds} с."
            )
        },
        advice: "Ключи того, кто выдаёт токены, сейчас получить нельзя.",
    },
    masked: "Личные данные скрыты: ваш доступ их не включает.",
    asked_at: "База данных опрошена",
    why_not,
    minor_units_of: |code| match code {
        "" => "минимальные единицы, валюта не указана".to_owned(),
        code => format!("минимальные единицы {code}"),
    },
    no_currency: "валюта не указана",
};

fn why_not(invalid: &InvalidUid) -> String {
    match invalid {
        InvalidUid::Empty => "он пуст".to_owned(),
        InvalidUid::TooLong => "он длиннее 128 знаков".to_owned(),
        InvalidUid::DotSegment => "он состоит из одних точек".to_owned(),
        InvalidUid::Character { character, position } => {
            let character = character.escape_debug();
            format!("знак {position} – «{character}», таких в номере не бывает")
        }
    }
}
