//! The table for operators says what the table in the code says.

use muster_credential::layout::SERVICES;

const PAGE: &str = include_str!("../../../../docs/operate/nats.md");

#[test]
fn the_page_about_the_bus_lists_each_service_with_its_subjects_and_no_others() {
    for service in SERVICES {
        let start = format!("| `{}` |", service.name);
        let row = PAGE.lines().find(|line| line.starts_with(&start)).unwrap();
        let cells: Vec<&str> = row.trim_start_matches('|').split('|').map(str::trim).collect();
        let listed = |cell: &str| {
            let words = cell.split(", ").map(|word| word.trim_matches('`').to_owned());
            words.filter(|word| !word.is_empty()).collect::<Vec<_>>()
        };
        assert_eq!(listed(cells[1]), service.answers, "{}", service.name);
        assert_eq!(listed(cells[2]), service.publishes, "{}", service.name);
        assert_eq!(listed(cells[3]), service.hears, "{}", service.name);
        assert_eq!(listed(cells[4]), service.answers_into(), "{}", service.name);
    }
}
