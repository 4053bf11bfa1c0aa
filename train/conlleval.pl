#!/usr/bin/env perl
#
# Chunk precision, recall and FB1 with the report of the CoNLL-2000 shared task: a second implementation of
# conlleval.py, so that each checks the other.
#
#     conlleval.pl [-d CHAR] [-r] [-l] [-o TAG] [file]         (standard input without a file)
#
# In: one token a line, its last two columns the gold and the predicted tag. Columns are separated by single
# spaces, or by the one character of -d (\t is a tab). An empty line, or one whose first column is -X-, ends a
# sentence.
# Out: the plain report, or with -l a LaTeX table. With -r tags are bare types, each token that is not outside
# a chunk of its own; -o names a tag that then means outside, beside O.
# Exit code: 1 for lines that do not fit the format, 2 for a wrong command line or an unreadable file.
#
# Each column is read on its own into a set of spans (first line, line after the last, type); a chunk is
# correct when both sets have it. Text is bytes throughout, so any encoding that contains ASCII will do.

use strict;
use warnings;
use Getopt::Long qw(:config bundling no_auto_abbrev no_ignore_case);

my $USAGE    = 'conlleval.pl [-d CHAR] [-r] [-l] [-o TAG] [file]';
my $BOUNDARY = '-X-';

my %is_outside   = map { $_ => 1 } qw(O .);
my %never_joins  = map { $_ => 1 } qw(B S [ ]);    # not one chunk with the token before
my %never_joined = map { $_ => 1 } qw(E S [ ]);    # not one chunk with the token after
my %nothing_open = map { $_ => 1 } qw(O E S);      # an I or E after one of these opens a chunk

sub fail {
    my ($exit_code, $message) = @_;
    print STDERR "$message\n";
    exit $exit_code;
}

sub command_line {
    my %option = (d => ' ', o => 'O');
    my $complaint;
    local $SIG{__WARN__} = sub { $complaint //= $_[0] };
    if (!GetOptions(\%option, 'd=s', 'r', 'l', 'o=s', 'h|help')) {
        $complaint =~ s/\s+\z//;
        fail(2, "error: $complaint; usage: $USAGE");
    }
    if ($option{h}) {
        print "usage: $USAGE\n";
        exit 0;
    }
    fail(2, "error: more than one file given; usage: $USAGE") if @ARGV > 1;
    $option{d} = "\t" if $option{d} eq '\t';
    utf8::decode(my $characters = $option{d});
    fail(2, "error: -d takes one character, or \\t for a tab; usage: $USAGE") if length($characters) != 1;
    return %option;
}

# Returns a function to be called for each line of a column with its tag, type and line number. It puts every
# chunk into the hash, under "first-line line-after-the-last type" with the type as value.
sub chunk_reader {
    my ($spans) = @_;
    my ($last_tag, $last_type) = ('O', '');
    my $since;
    return sub {
        my ($tag, $type, $line) = @_;
        my $inside  = !$is_outside{$tag};
        my $retyped = $type ne $last_type;
        my $broken  = $retyped || $never_joins{$tag} || $never_joined{$last_tag};
        if (!$inside || $broken || !defined $since) {
            $spans->{"$since $line $last_type"} = $last_type if defined $since;
            my $opens = $retyped || $never_joins{$tag} || ($nothing_open{$last_tag} && $tag =~ /^[IE]\z/);
            $since = $inside && $opens ? $line : undef;
        }
        ($last_tag, $last_type) = ($tag, $type);
    };
}

# The part before the first hyphen and the part after it; a type of 0 counts as none.
sub tag_and_type {
    my ($tag, $type) = split /-/, $_[0], 2;
    return ($tag // '', $type || '');
}

sub percent {
    my ($part, $whole) = @_;
    return $whole ? 100 * $part / $whole : 0;
}

# Precision, recall and FB1, in percent, of numbers of chunks.
sub scores {
    my %n = (correct => 0, guessed => 0, gold => 0, @_);
    my ($p, $r) = (percent($n{correct}, $n{guessed}), percent($n{correct}, $n{gold}));
    return ($p, $r, $p + $r > 0 ? 2 * $p * $r / ($p + $r) : 0);
}

# The spaces that bring a text to a width in characters, which in UTF-8 are the bytes that continue nothing.
sub padding {
    my ($text, $width) = @_;
    my $missing = $width - length($text) + ($text =~ tr/\x80-\xBF//);
    return ' ' x ($missing > 0 ? $missing : 0);
}

my %option = command_line();
my $input  = \*STDIN;
if (@ARGV) {
    open $input, '<', $ARGV[0] or fail(2, "error: $ARGV[0]: $!");
}
binmode $input;
binmode STDOUT;

my (%gold_spans, %guessed_spans);
my $read_gold    = chunk_reader(\%gold_spans);
my $read_guessed = chunk_reader(\%guessed_spans);
my ($tokens, $agreeing) = (0, 0);
my $width;

while (my $line = <$input>) {
    $line =~ s/^\xEF\xBB\xBF// if $. == 1;
    $line =~ s/\r?\n?\z//;
    my @columns = split /\Q$option{d}\E/, $line;
    $width //= @columns if @columns;
    if (@columns && @columns != $width) {
        fail(1, sprintf 'unexpected number of features: %d (%d)', scalar @columns, $width);
    }
    if (!@columns || $columns[0] eq $BOUNDARY) {
        $_->('O', '', $.) for $read_gold, $read_guessed;
        next;
    }
    if (@columns < 2) {
        fail(1, "line $.: 1 column found, expected the gold and the predicted tag");
    }

    my @tags = @columns[-2, -1];
    if ($option{r}) {
        @tags = map { $_ eq 'O' || $_ eq $option{o} ? 'O' : "B-$_" } @tags;
    }
    my @gold    = tag_and_type($tags[0]);
    my @guessed = tag_and_type($tags[1]);
    $read_gold->(@gold, $.);
    $read_guessed->(@guessed, $.);
    $tokens++;
    $agreeing++ if $gold[0] eq $guessed[0] && $gold[1] eq $guessed[1];
}
fail(2, 'error: ' . ($ARGV[0] // 'standard input') . ' cannot be read to its end') if $input->error;
my $after_last = ($. // 0) + 1;
$_->('O', '', $after_last) for $read_gold, $read_guessed;

my @correct = grep { exists $gold_spans{$_} } keys %guessed_spans;
my %total   = (
    correct => scalar @correct,
    guessed => scalar keys %guessed_spans,
    gold    => scalar keys %gold_spans,
);
my %of_type;
$of_type{$_}{gold}++    for values %gold_spans;
$of_type{$_}{guessed}++ for values %guessed_spans;
$of_type{$_}{correct}++ for @gold_spans{@correct};

if ($option{l}) {
    my $cells = ' &  %6.2f\\%% & %6.2f\\%% & %6.2f \\\\';
    print '        & Precision &  Recall  & F$_{\beta=1} \\\\\hline';
    for my $type (sort keys %of_type) {
        print "\n", $type, padding($type, 7), sprintf($cells, scores(%{ $of_type{$type} }));
    }
    print "\\hline\nOverall", sprintf($cells, scores(%total)), "\\hline\n";
}
else {
    my $cells = 'precision: %6.2f%%; recall: %6.2f%%; FB1: %6.2f';
    printf "processed %d tokens with %d phrases; found: %d phrases; correct: %d.\n",
        $tokens, @total{qw(gold guessed correct)};
    printf "accuracy: %6.2f%%; $cells\n", percent($agreeing, $tokens), scores(%total) if $tokens;
    for my $type (sort keys %of_type) {
        my %n = %{ $of_type{$type} };
        print padding($type, 17), $type, sprintf(": $cells  %d\n", scores(%n), $n{guessed} // 0);
    }
}
