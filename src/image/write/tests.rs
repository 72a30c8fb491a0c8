//! Where pictures land.

use super::*;

fn options(template: &str) -> OutputOptions<'_> {
    OutputOptions::single(Some(template), false)
}

fn request() -> Request {
    let mut request = Request::default();
    request.prompt.text = "a red apple".into();
    request.sampling.seed = Some(7);
    request
}

fn write(output: &Output, index: usize) -> Written {
    output.write(b"png", &request(), "emoji", Number { index, line: None }).unwrap()
}

#[test]
fn a_folder_gets_the_default_name() {
    let folder = tempfile::tempdir().unwrap();
    let expected = folder.path().join("a-red-apple-7.png");
    let typed = folder.path().to_str().unwrap();
    for (typed, name) in [(typed.to_owned(), "a-red-apple-7.png"), (format!("{typed}/"), "a-red-apple-7-2.png")] {
        let output = Output::prepare_for(&options(&typed), true).unwrap();
        assert_eq!(write(&output, 0).path.unwrap(), expected.with_file_name(name));
    }
    let braces = folder.path().join("{seed} }{");
    fs::create_dir(&braces).unwrap();
    let output = Output::prepare_for(&options(braces.to_str().unwrap()), true).unwrap();
    assert_eq!(write(&output, 0).path.unwrap(), braces.join("a-red-apple-7.png"));
    assert_eq!(with_file_name(None, DEFAULT_NAME), DEFAULT_NAME);
}

#[test]
fn an_existing_file_is_kept_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    let typed = path.to_str().unwrap();
    let output = Output::prepare_for(&options(typed), true).unwrap();
    assert_eq!(write(&output, 0), Written { path: Some(path.clone()), note: None });
    let second = write(&output, 0);
    assert_eq!(second.path.unwrap(), folder.path().join("a-2.png"));
    assert_eq!(second.note.unwrap(), "`a.png` exists; the picture is `a-2.png` (`--overwrite` replaces)");
    let replacing = Output::prepare_for(&OutputOptions { overwrite: true, ..options(typed) }, true).unwrap();
    assert_eq!(write(&replacing, 0), Written { path: Some(path), note: None });
}

#[test]
fn folders_of_placeholders_are_made_and_others_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    let typed = format!("{}/{{seed}}/{{model}}/x.png", folder.path().display());
    let output = Output::prepare_for(&options(&typed), true).unwrap();
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing before the first picture");
    assert_eq!(write(&output, 0).path.unwrap(), folder.path().join("7/emoji/x.png"));

    for missing in ["no/x.png", "no/{seed}.png", "no/"] {
        let typed = format!("{}/{missing}", folder.path().display());
        let error = Output::prepare_for(&options(&typed), true).unwrap_err();
        assert_eq!(error.exit_code(), crate::error::exit_code::FAILURE);
        assert!(error.to_string().contains("/no"), "{error}");
        assert!(error.hint().unwrap().contains("create the folder"), "{error}");
    }
}

#[test]
fn steps_go_beside_their_picture_or_into_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (beside, steps) = (folder.path().join("{seed}/a.png"), folder.path().join("new/steps"));
    let write = |output: &Output, folder| {
        output.write_beside(b"x", &request(), ("emoji", Number::default()), "step-003", folder).unwrap()
    };
    let output = Output::prepare_for(&options(beside.to_str().unwrap()), true).unwrap();
    output.prepare_beside(None, "steps go", "--x=DIR").unwrap();
    assert_eq!(write(&output, None), folder.path().join("7/a-step-003.png"));

    let output = Output::prepare_for(&options("-"), false).unwrap();
    output.prepare_beside(Some(&steps), "steps go", "--x=DIR").unwrap();
    assert!(!steps.exists(), "nothing before the first step");
    assert_eq!(write(&output, Some(&steps)), steps.join("a-red-apple-7-step-003.png"));
    assert_eq!(
        output.prepare_beside(None, "steps go", "--x=DIR").unwrap_err().exit_code(),
        crate::error::exit_code::USAGE
    );
}

#[test]
fn several_pictures_get_a_name_each() {
    let folder = tempfile::tempdir().unwrap();
    let typed = format!("{}/a.png", folder.path().display());
    let output = Output::prepare_for(&OutputOptions { batch: 2, ..options(&typed) }, true).unwrap();
    let mut request = request();
    request.image.batch = Some(2);
    for index in 0..2 {
        let written = output.write(b"png", &request, "emoji", Number { index, line: None }).unwrap();
        assert_eq!(written.path.unwrap(), folder.path().join(format!("a-{index}.png")));
    }
}

#[test]
fn pictures_of_lines_are_named_by_them() {
    let folder = tempfile::tempdir().unwrap();
    let typed = folder.path().to_str().unwrap();
    let lines = |template| OutputOptions { work: Work::Lines, ..options(template) };
    let output = Output::prepare_for(&lines(typed), true).unwrap();
    let number = Number { index: 0, line: Some(12) };
    let written = output.write(b"png", &request(), "emoji", number).unwrap().path.unwrap();
    assert_eq!(written, folder.path().join("0012-a-red-apple-7.png"));

    let error = Output::prepare_for(&lines("-"), false).unwrap_err();
    assert_eq!(error.exit_code(), crate::error::exit_code::USAGE);
    let error = Output::prepare_for(&options("{line}.png"), false).unwrap_err();
    assert!(error.hint().unwrap().contains("--prompt-file"), "{error}");
}

#[test]
fn standard_output_takes_one_picture_and_no_terminal() {
    assert!(Output::prepare_for(&options("-"), false).unwrap().is_stdout());
    let several = OutputOptions { count: 2, ..options("-") };
    for error in
        [Output::prepare_for(&options("-"), true).unwrap_err(), Output::prepare_for(&several, false).unwrap_err()]
    {
        assert_eq!(error.exit_code(), crate::error::exit_code::USAGE);
        assert!(error.hint().is_some());
    }
}

#[cfg(unix)]
#[test]
fn a_device_is_written_into_and_stays() {
    use std::os::unix::fs::FileTypeExt;
    let overwrite = OutputOptions { overwrite: true, count: 3, ..options("/dev/null") };
    let output = Output::prepare_for(&overwrite, true).unwrap();
    assert_eq!(write(&output, 2), Written { path: Some("/dev/null".into()), note: None });
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_with_its_hint() {
    let output = Output::prepare_for(&options("/dev/full"), true).unwrap();
    let error = output.write(b"png", &request(), "emoji", Number::default()).unwrap_err();
    assert_eq!(error.exit_code(), crate::error::exit_code::FAILURE);
    assert!(error.hint().unwrap().contains("disk is full"), "{error}");
}

/// Where a shell had sent it into a file, `-o /dev/stdout` once wrote beside it, into `/dev`.
#[cfg(unix)]
#[test]
fn standard_output_has_several_names() {
    for name in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        assert!(Output::prepare_for(&options(name), false).unwrap().is_stdout(), "{name}");
        let several = OutputOptions { count: 2, ..options(name) };
        assert_eq!(Output::prepare_for(&several, false).unwrap_err().exit_code(), crate::error::exit_code::USAGE);
    }
    assert!(!is_stdout("/dev/stderr") && !is_stdout("./-"));
}
