"""What was found here, in other tools' formats: edits, directions, pages, SAEs."""
